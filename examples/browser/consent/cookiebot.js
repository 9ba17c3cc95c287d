// Cookiebot: its four categories in the pipeline's words.

window.consent = {
    read() {
        const { hasResponse, consent } = window.Cookiebot ?? {}
        if (!hasResponse) return undefined
        return { functional: consent.preferences, analytics: consent.statistics, marketing: consent.marketing }
    },
    agrees: () => consent.read()?.marketing === true,
    onChange(tell) {
        for (const name of ['CookiebotOnAccept', 'CookiebotOnDecline']) window.addEventListener(name, tell)
    },
}
