// `@jitsu/js`: only the host name is another one. It makes its event ids itself, and keeps what it knows of a visitor.
import { jitsuAnalytics } from '@jitsu/js'
import { say, settings } from './calls.mjs'

const { url, key } = settings
const privacy = { consentCategories: { Advertising: true, Analytics: false } }
const client = jitsuAnalytics({ host: url, writeKey: key, privacy })
await client.identify('user-1', { email: 'ottilie.quandt+1@example.org' })
await client.track('Product Added', { product_id: 'p-1', price: 5, currency: 'EUR' })
await client.page({ url: 'https://shop.example/sofas' })
say([])
process.exit(0)
