//! Where an event took place, in Meta's words.

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

impl ActionSource {
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
