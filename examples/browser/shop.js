// The shop: Segment's browser client, unmodified and served by the pipeline, and Meta's pixel beside it where the page has one.
// Both tell of the same order under the same id, so that Meta counts it once.

const KEY = 'the-web-key'
// The pipeline's paths are on the shop's own host, behind the same proxy: only then do browsers send it cookies, and keep its own.
const EVENTS = location.origin

// Segment's snippet, shortened: calls wait in a list until the script is there.
const waiting = (window.analytics = [])
waiting._writeKey = KEY
waiting._cdn = EVENTS
for (const name of ['addSourceMiddleware', 'identify', 'page', 'track']) {
    waiting[name] = (...call) => waiting.push([name, ...call])
}
const script = document.createElement('script')
script.src = `${EVENTS}/analytics.js/v1/${KEY}/analytics.min.js`
document.head.append(script)

// Every event says what the visitor has chosen.
analytics.addSourceMiddleware(({ payload, next }) => {
    payload.obj.context.consent = consent.read()
    next(payload)
})

// Nothing is told before there is a choice. What is told after a refusal says so, and the pipeline sends it nowhere.
let isTold
const tell = () => {
    const chosen = JSON.stringify(consent.read())
    if (chosen && chosen !== isTold) analytics.page()
    isTold = chosen
}
consent.onChange(tell)
tell()

document.querySelector('#order').addEventListener('submit', (submitted) => {
    submitted.preventDefault()
    const form = new FormData(submitted.target)
    const number = `order-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`
    if (isTold) {
        const [firstName, ...lastNames] = form.get('name').split(' ')
        const traits = { firstName, lastName: lastNames.join(' '), email: form.get('email'), phone: form.get('phone') }
        const products = [{ product_id: 'elm', price: 499.9, quantity: 1 }]
        const order = { order_id: number, value: 499.9, currency: 'EUR', products }
        analytics.track('Order Completed', order, { messageId: number, context: { traits } })
        if (consent.agrees()) {
            // The pixel adds the cookies itself.
            const bought = { value: 499.9, currency: 'EUR', content_ids: ['elm'], content_type: 'product' }
            window.fbq?.('track', 'Purchase', bought, { eventID: number })
        }
    }
    document.querySelector('#number').value = number
    document.querySelector('#thanks').hidden = false
})
