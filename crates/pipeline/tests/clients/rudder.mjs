// `@rudderstack/rudder-sdk-node`: only the host name is another one.
import RudderAnalytics from '@rudderstack/rudder-sdk-node'
import { calls, say, settings } from './calls.mjs'

const gaveUp = []
const client = new RudderAnalytics(settings.key, { dataPlaneUrl: settings.url, flushAt: 5, flushInterval: 100, logLevel: 'error' })
let open = 0
const told = {}
for (const name of ['track', 'page', 'identify']) {
    told[name] = (message) => {
        open++
        client[name](message, (error) => {
            open--
            if (error) gaveUp.push(message.messageId)
        })
    }
}
await calls(told, {
    consentManagement: { provider: 'custom', allowedConsentIds: ['C0004'], deniedConsentIds: ['C0002'] },
})
while (open > 0) await new Promise((resolve) => setTimeout(resolve, 20))
say(gaveUp)
process.exit(0)
