// `analytics-node`, which many still have: only the host name is another one.
import Analytics from 'analytics-node'
import { told } from './callbacks.mjs'
import { calls, say, settings } from './calls.mjs'

const gaveUp = []
const options = { host: settings.url, flushAt: 5, flushInterval: 100 }
const [client, done] = told(new Analytics(settings.key, options), gaveUp)
await calls(client, { consent: { categoryPreferences: { Advertising: true, Analytics: false } } })
await done()
say(gaveUp)
process.exit(0)
