// Clients that tell by a callback what became of an event: counts those under way and those given up.

export function told(client, gaveUp) {
    let open = 0
    const wrapped = {}
    for (const name of ['track', 'page', 'identify']) {
        wrapped[name] = (message) => {
            open++
            client[name](message, (error) => {
                open--
                if (error) gaveUp.push(message.messageId)
            })
        }
    }
    const done = async () => {
        while (open > 0) await new Promise((resolve) => setTimeout(resolve, 20))
    }
    return [wrapped, done]
}
