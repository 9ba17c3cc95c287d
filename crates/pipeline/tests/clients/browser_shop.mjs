// A visitor of the demo shop: comes by an advertisement, refuses, agrees, and orders.

// Meta's pixel, as far as it matters here: tells of an event with the cookies that the browser has at that moment.
const pixel = () => {
    window.told = []
    window.fbq = (...call) => {
        const cookie = (name) => document.cookie.split('; ').find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1)
        window.told.push({ event: call[1], id: call[3].eventID, fbp: cookie('_fbp'), fbc: cookie('_fbc') })
    }
}

export async function visit(opened, { platform, click, known }) {
    const page = await opened(`/?platform=${platform}&fbclid=${click}`, async (page) => {
        await page.addInitScript(pixel)
        const cookies = Object.entries(known).map(([name, value]) => ({ name, value, domain: '.shop.example', path: '/' }))
        if (cookies.length > 0) await page.context().addCookies(cookies)
    })
    const cookies = async () => {
        const all = await page.context().cookies()
        const ours = all.filter(({ name }) => ['_fbp', '_fbc'].includes(name))
        return Object.fromEntries(ours.map(({ name, value, domain, sameSite, expires }) =>
            [name, { value, domain, sameSite, days: Math.round((expires - Date.now() / 1000) / 86400) }]))
    }
    // What is clicked is told to the pipeline.
    const told = async (path, act) => {
        const answer = page.waitForResponse((answer) => new URL(answer.url()).pathname === path)
        await act()
        const status = (await answer).status()
        if (status !== 200) throw new Error(`${path}: ${status}`)
    }
    const steps = { came: await cookies() }
    await told('/v1/p', () => page.click('#refuse'))
    steps.refused = await cookies()
    await told('/v1/p', () => page.click('#agree'))
    steps.agreed = await cookies()
    await page.fill('[name=name]', 'Ottilie Quandt')
    await page.fill('[name=email]', 'ottilie.quandt@example.org')
    await page.fill('[name=phone]', '+49 1511 2345678')
    await told('/v1/t', () => page.click('#buy'))
    steps.ordered = await cookies()
    const number = await page.textContent('#number')
    const pixel_told = await page.evaluate(() => window.told)
    await page.context().close()
    return { steps, number, pixel: pixel_told }
}
