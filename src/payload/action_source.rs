//! Where an event took place, in Meta's words and in those of senders.

use std::sync::LazyLock;

macro_rules! words {
    ($(#[$about:meta])* $set:ident { $($(#[$mark:meta])* $name:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $set { $($(#[$mark])* $name,)* }

        impl $set {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// Meta's words, in the order of [`Self::ALL`].
            pub(crate) const WORDS: &[&'static str] = &[$($word),*];

            /// Meta's word for it.
            pub(crate) const fn word(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }
        }
    };
}

words! {
    /// Where an event took place.
    #[derive(Default)]
    ActionSource {
        #[default]
        Website = "website",
        App = "app",
        PhoneCall = "phone_call",
        Chat = "chat",
        Email = "email",
        PhysicalStore = "physical_store",
        SystemGenerated = "system_generated",
        BusinessMessaging = "business_messaging",
        Other = "other",
    }
}

/// Words that senders use for Meta's. Only what has one meaning: a server can send any event, and `messaging` or `whatsapp` can
/// be a chat or a conversation that began with an ad.
const SYNONYMS: &[(&str, ActionSource)] = &[
    ("web", ActionSource::Website),
    ("browser", ActionSource::Website),
    ("mobile", ActionSource::App),
    ("mobile_app", ActionSource::App),
    ("native_app", ActionSource::App),
    ("ios", ActionSource::App),
    ("android", ActionSource::App),
    ("phone", ActionSource::PhoneCall),
    ("call", ActionSource::PhoneCall),
    ("telephone", ActionSource::PhoneCall),
    ("live_chat", ActionSource::Chat),
    ("sms", ActionSource::Chat),
    ("in_store", ActionSource::PhysicalStore),
    ("store", ActionSource::PhysicalStore),
    ("retail_store", ActionSource::PhysicalStore),
    ("offline", ActionSource::PhysicalStore),
    ("pos", ActionSource::PhysicalStore),
    ("point_of_sale", ActionSource::PhysicalStore),
    ("crm", ActionSource::SystemGenerated),
    ("system", ActionSource::SystemGenerated),
];

impl ActionSource {
    /// Meta's words and others for the same, each with its meaning.
    pub(crate) fn spellings() -> &'static [(&'static str, Self)] {
        static SPELLINGS: LazyLock<Vec<(&str, ActionSource)>> = LazyLock::new(|| {
            let own = ActionSource::ALL
                .iter()
                .map(|source| (source.word(), *source));
            own.chain(SYNONYMS.iter().copied()).collect()
        });
        &SPELLINGS
    }

    /// The source that has this word.
    pub(crate) fn named(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|source| source.word() == word)
    }
}

words! {
    /// Where a conversation took place.
    MessagingChannel {
        Messenger = "messenger",
        Whatsapp = "whatsapp",
        Instagram = "instagram",
    }
}
