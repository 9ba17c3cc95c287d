// The calls that every client of Node makes: rounds of a track, a track without consent, a page and an identify.
// Arguments: URL, write key, prefix of the event ids, rounds, milliseconds between two rounds.

const [url, key, prefix, rounds, pause] = process.argv.slice(2)

export const settings = { url, key }

const page = { url: 'https://shop.example/sofas', title: 'Sofas' }
const userAgent = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36'

export async function calls(client, consent) {
    for (let round = 0; round < Number(rounds); round++) {
        const userId = `user-${round}`
        const traits = { email: `ottilie.quandt+${round}@example.org` }
        const context = { ...consent, traits, page, userAgent, ip: '203.0.113.9' }
        const properties = { product_id: 'p-1', price: 5, currency: 'EUR' }
        const event = 'Product Added'
        client.track({ userId, event, properties, context, messageId: `${prefix}-track-${round}` })
        const silent = { traits, page, userAgent }
        client.track({ userId, event, properties, context: silent, messageId: `${prefix}-silent-${round}` })
        client.page({ userId, name: 'Sofas', properties: page, context, messageId: `${prefix}-page-${round}` })
        client.identify({ userId, traits, context, messageId: `${prefix}-identify-${round}` })
        await new Promise((resolve) => setTimeout(resolve, Number(pause)))
    }
}

// The last line says which events the client gave up.
export function say(gaveUp) {
    console.log(JSON.stringify({ gave_up: gaveUp }))
}
