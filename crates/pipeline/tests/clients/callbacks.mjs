// Clients that tell by a callback what became of an event: keeps those under way and those given up.

// Beside telling the callback, these clients throw what they give up where no caller can catch it.
process.on('unhandledRejection', () => {})

// Longer than all attempts of one event take; some events that are given up are never told of.
const SILENCE_MS = 10_000

export function told(client, gaveUp) {
    const open = new Set()
    let last = Date.now()
    const wrapped = {}
    for (const name of ['track', 'page', 'identify']) {
        wrapped[name] = (message) => {
            open.add(message.messageId)
            client[name](message, (error) => {
                last = Date.now()
                open.delete(message.messageId)
                if (error) gaveUp.push(message.messageId)
            })
        }
    }
    const done = async () => {
        while (open.size > 0 && Date.now() < last + SILENCE_MS) {
            await new Promise((resolve) => setTimeout(resolve, 20))
        }
        gaveUp.push(...open)
    }
    return [wrapped, done]
}
