// `@segment/analytics-node`: only the host name is another one.
import { Analytics } from '@segment/analytics-node'
import { calls, say, settings } from './calls.mjs'

const gaveUp = []
const client = new Analytics({ writeKey: settings.key, host: settings.url, flushAt: 5, flushInterval: 100 })
client.on('error', (error) => {
    if (error.ctx) gaveUp.push(error.ctx.event.messageId)
})
await calls(client, { consent: { categoryPreferences: { Advertising: true, Analytics: false } } })
await client.closeAndFlush({ timeout: 60_000 })
say(gaveUp)
