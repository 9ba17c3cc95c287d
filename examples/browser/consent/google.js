// Google's consent mode, as events say it: the visitor's choice is what `gtag('consent', 'update', …)` was told last.

window.dataLayer ??= []
window.gtag ??= function () {
    dataLayer.push(arguments)
}
window.consent = {
    // Nothing before a choice: defaults are the page's, not the visitor's.
    read() {
        const updates = dataLayer.filter((entry) => entry[0] === 'consent' && entry[1] === 'update')
        return updates.length > 0 ? Object.assign({}, ...updates.map((entry) => entry[2])) : undefined
    },
    agrees: () => consent.read()?.ad_storage === 'granted' && consent.read().ad_user_data !== 'denied',
    onChange(tell) {
        const push = dataLayer.push
        dataLayer.push = (...entries) => {
            const length = push.apply(dataLayer, entries)
            if (entries.some((entry) => entry[0] === 'consent')) tell()
            return length
        }
    },
}
