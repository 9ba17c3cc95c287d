// `@rudderstack/rudder-sdk-node`: only the host name is another one.
import RudderAnalytics from '@rudderstack/rudder-sdk-node'
import { told } from './callbacks.mjs'
import { calls, say, settings } from './calls.mjs'

const gaveUp = []
const options = { dataPlaneUrl: settings.url, flushAt: 5, flushInterval: 100, logLevel: 'error' }
const [client, done] = told(new RudderAnalytics(settings.key, options), gaveUp)
await calls(client, {
    consentManagement: { provider: 'custom', allowedConsentIds: ['C0004'], deniedConsentIds: ['C0002'] },
})
await done()
say(gaveUp)
process.exit(0)
