// Pages with one client each, and what they call. Clients are loaded as their own instructions say, from the pipeline.

const segment = (url, key) => `
<script>
  const waiting = (window.analytics = [])
  waiting._writeKey = '${key}'
  waiting._cdn = '${url}'
  for (const name of ['identify', 'page', 'track']) waiting[name] = (...call) => waiting.push([name, ...call])
</script>
<script src="${url}/analytics.js/v1/${key}/analytics.min.js"></script>
<script>
  const consent = { categoryPreferences: { Advertising: !refuses, Analytics: false } }
  const said = { context: { consent } }
  var client = {
    identify: (id, traits) => analytics.identify(id, traits, said),
    page: () => analytics.page({}, said),
    track: (name, properties) => analytics.track(name, properties, said),
    silent: (name, properties) => analytics.track(name, properties),
  }
</script>`

const rudder = (url, key) => `
<script src="${url}/analytics.js/v1/${key}/rudder.min.js"></script>
<script>
  const ids = [['C0004'], ['C0002']]
  const [allowedConsentIds, deniedConsentIds] = refuses ? ids.reverse() : ids
  var client = new rudderanalytics.RudderAnalytics()
  client.load('${key}', '${url}', {
    configUrl: '${url}', logLevel: 'ERROR', sendAdblockPage: false,
    consentManagement: { enabled: true, provider: 'custom' },
    preConsent: { enabled: false },
  })
  client.consent({ consentManagement: { enabled: true, provider: 'custom', allowedConsentIds, deniedConsentIds } })
</script>`

const jitsu = (url, key) => `
<script>
  document.cookie = '_fbp=fb.1.1700000000000.1234567890; domain=shop.example'
  window.jitsuConfig = { privacy: { consentCategories: { Advertising: !refuses, Analytics: false } } }
</script>
<script src="${url}/p.js" data-write-key="${key}:secret" data-init-only="true"></script>
<script>var client = jitsu</script>`

const clients = { segment, rudder, jitsu }

export function pageOf(url, events, { key, key_for_each }) {
    const name = url.pathname.slice(1)
    const client = clients[name]
    const own = key_for_each ? `${key}-of-${name}` : key
    const refuses = `<script>const refuses = location.search === '?refuses'</script>`
    return `<!doctype html><meta charset="utf-8"><title>Sofas</title><link rel="icon" href="data:,">${
        client ? refuses + client(events, own) : ''
    }`
}

// Makes the calls of one client; returns the ids of the products that it told of.
export async function callsOf(page, client, { rounds, pause }) {
    return page.evaluate(
        async ([name, rounds, pause]) => {
            const ids = []
            for (let round = 0; round < rounds; round++) {
                const id = `${name}-${round}`
                const properties = { product_id: id, price: 5, currency: 'EUR' }
                client.identify(`user-${round}`, { email: `ottilie.quandt+${round}@example.org` })
                client.page()
                client.track('Product Added', properties)
                client.silent?.('Product Added', { ...properties, product_id: `silent-${id}` })
                ids.push(id)
                await new Promise((resolve) => setTimeout(resolve, pause))
            }
            return ids
        },
        [client, rounds, pause],
    )
}
