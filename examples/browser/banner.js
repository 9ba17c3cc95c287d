// Replaces the script of a consent platform: asks, and publishes the answer as that platform does. A page that has one of
// them does not need this file.

const publish = {
    google(agrees) {
        const word = agrees ? 'granted' : 'denied'
        gtag('consent', 'update', { ad_storage: word, ad_user_data: word, ad_personalization: word, analytics_storage: word })
    },
    onetrust(agrees) {
        window.OnetrustActiveGroups = agrees ? ',C0001,C0002,C0004,' : ',C0001,'
        window.OptanonWrapper()
    },
    cookiebot(agrees) {
        const consent = { necessary: true, preferences: agrees, statistics: agrees, marketing: agrees }
        window.Cookiebot = { hasResponse: true, consent }
        window.dispatchEvent(new Event(agrees ? 'CookiebotOnAccept' : 'CookiebotOnDecline'))
    },
}
for (const [id, agrees] of [['agree', true], ['refuse', false]]) {
    document.getElementById(id).addEventListener('click', () => publish[platform](agrees))
}
