// OneTrust: the groups that the visitor has granted, as its script publishes them. The sink's option `consent.categories` says
// which of them is marketing: `{ C0004: marketing }`.

window.consent = {
    read() {
        const groups = window.OnetrustActiveGroups
        return groups === undefined ? undefined : { OnetrustActiveGroups: groups }
    },
    agrees: () => window.OnetrustActiveGroups?.split(',').includes('C0004') ?? false,
    // OneTrust's script calls this function when it is there, and after every choice.
    onChange(tell) {
        const before = window.OptanonWrapper
        window.OptanonWrapper = () => {
            before?.()
            tell()
        }
    },
}
