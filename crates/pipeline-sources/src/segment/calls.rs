//! The paths of the API, under every name that clients call them by.

/// Where Segment's browser client looks for its parts.
pub(super) const BUNDLES: &str = "/analytics-next/bundles/";

/// What a request to a path brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// One event, of this type where it names none.
    Event(&'static str),
    /// A batch of events.
    Batch,
    /// The settings that Segment's browser client asks for, for the key in the path.
    Settings,
    /// The settings that RudderStack's browser client asks for.
    SourceConfig,
    /// A file of the folder `script_dir`.
    Script,
    /// Whether the server is alive.
    Health,
}

impl Call {
    /// What this path is for.
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        match path {
            "/health" => return Some(Self::Health),
            "/sourceConfig" => return Some(Self::SourceConfig),
            "/p.js" => return Some(Self::Script),
            "/beacon/v1/batch" => return Some(Self::Batch),
            _ => {}
        }
        if path.starts_with("/analytics.js/v1/") || path.starts_with(BUNDLES) {
            return Some(Self::Script);
        }
        if key_of_settings(path).is_some() {
            return Some(Self::Settings);
        }
        let jitsu = || {
            let name = path.strip_prefix("/api/s/")?;
            Some(name.strip_prefix("s2s/").unwrap_or(name))
        };
        let name = path.strip_prefix("/v1/").or_else(jitsu)?;
        Some(match name {
            "track" | "t" => Self::Event("track"),
            "page" | "p" => Self::Event("page"),
            "screen" | "s" => Self::Event("screen"),
            "identify" | "i" => Self::Event("identify"),
            "group" | "g" => Self::Event("group"),
            "alias" | "a" => Self::Event("alias"),
            "batch" | "b" | "import" => Self::Batch,
            _ => return None,
        })
    }

    /// Whether it brings events.
    pub(super) fn takes_events(self) -> bool {
        matches!(self, Self::Event(_) | Self::Batch)
    }
}

/// The key for which this path asks for settings.
pub(super) fn key_of_settings(path: &str) -> Option<&str> {
    let key = path.strip_prefix("/v1/projects/")?;
    let key = key.strip_suffix('/').unwrap_or(key);
    key.strip_suffix("/settings")
        .filter(|key| !key.contains('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_clients_is_known_in_its_long_and_its_short_form() {
        for (names, kind) in [
            (["track", "t"], "track"),
            (["page", "p"], "page"),
            (["screen", "s"], "screen"),
            (["identify", "i"], "identify"),
            (["group", "g"], "group"),
            (["alias", "a"], "alias"),
        ] {
            for name in names {
                for path in ["/v1/", "/api/s/", "/api/s/s2s/"].map(|at| format!("{at}{name}")) {
                    assert_eq!(Call::of(&path), Some(Call::Event(kind)), "{path}");
                    assert_eq!(Call::of(&format!("{path}/")), Some(Call::Event(kind)));
                }
            }
        }
        for path in [
            "/v1/batch",
            "/v1/b",
            "/v1/import",
            "/beacon/v1/batch",
            "/api/s/batch",
        ] {
            assert_eq!(Call::of(path), Some(Call::Batch), "{path}");
        }
        assert_eq!(Call::of("/v1/projects/k/settings"), Some(Call::Settings));
        assert_eq!(Call::of("/sourceConfig/"), Some(Call::SourceConfig));
        assert_eq!(Call::of("/p.js"), Some(Call::Script));
        assert_eq!(Call::of("/analytics-next/bundles/a.js"), Some(Call::Script));
        for path in [
            "/",
            "",
            "/v1",
            "/v1/",
            "/v1/Track",
            "/v1/events",
            "/v1/projects//x/settings",
            "/v2/track",
        ] {
            assert_eq!(Call::of(path), None, "{path}");
        }
    }
}
