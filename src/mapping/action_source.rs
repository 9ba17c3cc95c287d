//! Where an event took place: what it says itself, else what its channel, page, library or device show, else the option.
//!
//! What is shown only tells a website from an app. It is not looked at where the option names another place, since such a place
//! is chosen for all events, and their pages or devices are those of the business then.
//!
//! Invariant: a place that the event names in unknown words is never replaced.

use super::event_writer::EventWriter;
use super::given::{Given, Origin};
use super::json;
use super::plan::FieldPlan;
use super::trace::Trace;
use super::value;
use crate::json_text;
use crate::omitted::Omitted;
use crate::payload::action_source::ActionSource;
use crate::payload::rule::rule;
use crate::reason;

/// Libraries that run in browsers, by their names in `context.library.name`. Those that also run on servers are not listed.
const LIBRARIES_OF_WEBSITES: &[&str] = &[
    "analytics.js",
    "analytics-next",
    "@segment/analytics-next",
    "RudderLabs JavaScript SDK",
    "@rudderstack/analytics-js",
    "rudder-sdk-js",
    "datafly.js",
    "posthog-js",
];

/// Words in the names of libraries that run on phones: `analytics-android`, `rudder-react-native`. Those in which programs for
/// servers are written too (Kotlin, Swift) are not listed.
const WORDS_OF_APP_LIBRARIES: &[&str] = &[
    "android",
    "ios",
    "flutter",
    "unity",
    "cordova",
    "reactnative",
];

impl<'e, T: Trace> EventWriter<'e, '_, T> {
    /// Writes where the event took place.
    pub(super) fn action_source(&mut self) {
        let field = self.input.plan.action_source.as_ref();
        let named = field.map_or(Given::Absent, |field| self.named_place(field));
        let shown = if named.is_absent() {
            self.shown_place()
        } else {
            None
        };
        let source = named.read().map(|(source, _)| source).or(shown);
        let source = source.unwrap_or_else(|| {
            self.sent_by_name("action_source", "(settings)", "`action_source`");
            self.input.rules.action_source
        });
        self.facts.action_source = source;
        self.append(",\"action_source\":");
        json::plain_text(source.word(), &mut self.out);
    }

    /// The place that the configuration or the event names.
    fn named_place(&mut self, field: &'e FieldPlan) -> Given<ActionSource> {
        let given = match &field.constant {
            Some(raw) => {
                read(raw).map_or(Given::Absent, |place| Given::Read(place, Origin::Constant))
            }
            None => self.first(field, read),
        };
        let given = match (given, &field.default) {
            (Given::Absent, Some(raw)) => {
                read(raw).map_or(Given::Absent, |place| Given::Read(place, Origin::Default))
            }
            (given, _) => given,
        };
        match given {
            Given::Read(_, origin) => self.sent(field, origin, rule(field.kind)),
            Given::Unreadable => {
                let unknown = self
                    .values(field)
                    .find(|(_, raw)| read(raw) == Err(Omitted::NotAllowed));
                if let Some((slot, _)) = unknown {
                    self.refuse(slot, reason::unknown_action_source);
                }
            }
            Given::Absent => {}
        }
        given
    }

    /// Website or app, if the event shows which of them it was and the option names one of them.
    fn shown_place(&mut self) -> Option<ActionSource> {
        /// How a place is shown without a library.
        const DEVICE: &str = "the event names an app, and Android or iOS";
        use ActionSource::{App, Website};
        if !matches!(self.input.rules.action_source, Website | App) {
            return None;
        }
        let plan = &self.input.plan.place;
        // Libraries of browsers describe a device and an app as well, so that a channel or a page comes before these.
        let channel = self.shown(plan.channel.as_ref(), channel);
        let (place, origin, rule) = if let Some((Website, origin)) = channel {
            (Website, origin, "the channel is that of a website")
        } else if let Some((page, origin)) = self.shown(plan.page.as_ref(), page) {
            (page, origin, "the event has a page")
        } else if let Some((app, origin)) = channel {
            (app, origin, "the channel is that of an app")
        } else if let Some((place, origin)) = self.shown(plan.library.as_ref(), library) {
            (place, origin, "the library runs there")
        } else {
            let (_, system) = self.shown(plan.system.as_ref(), system)?;
            let (app, origin) = self.shown(plan.app.as_ref(), app)?;
            self.shown_by(system, DEVICE);
            (app, origin, DEVICE)
        };
        self.shown_by(origin, rule);
        Some(place)
    }

    fn shown(
        &mut self,
        field: Option<&'e FieldPlan>,
        read: impl Fn(&str) -> Result<ActionSource, Omitted>,
    ) -> Option<(ActionSource, Origin)> {
        self.first(field?, read).read()
    }

    /// Reports what showed the place.
    fn shown_by(&mut self, origin: Origin, rule: &str) {
        let (scope, paths) = (self.scope, self.input.paths);
        self.trace.sent(
            || "action_source".to_owned(),
            || scope.describe(paths, origin),
            rule,
        );
    }
}

/// A place in Meta's words or in others for the same.
fn read(raw: &str) -> Result<ActionSource, Omitted> {
    value::word(raw, ActionSource::spellings(), Omitted::NotAllowed)
}

/// `web` and `mobile`, as RudderStack's libraries write them, and other words for the two. `server` says nothing.
fn channel(raw: &str) -> Result<ActionSource, Omitted> {
    match value::word(raw, ActionSource::spellings(), Omitted::NoPlace)? {
        place @ (ActionSource::Website | ActionSource::App) => Ok(place),
        _ => Err(Omitted::NoPlace),
    }
}

fn page(raw: &str) -> Result<ActionSource, Omitted> {
    said(raw).map(|_| ActionSource::Website)
}

fn app(raw: &str) -> Result<ActionSource, Omitted> {
    said(raw).map(|_| ActionSource::App)
}

fn system(raw: &str) -> Result<ActionSource, Omitted> {
    value::platform(raw).map_err(|_| Omitted::NoPlace)?;
    Ok(ActionSource::App)
}

fn library(raw: &str) -> Result<ActionSource, Omitted> {
    let name = said(raw)?;
    let is = |known: &str| known.eq_ignore_ascii_case(&name);
    if LIBRARIES_OF_WEBSITES.iter().any(|known| is(known)) {
        return Ok(ActionSource::Website);
    }
    let name = name
        .to_ascii_lowercase()
        .replace("react-native", "reactnative")
        .replace("react_native", "reactnative");
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    if words.any(|word| WORDS_OF_APP_LIBRARIES.contains(&word)) {
        return Ok(ActionSource::App);
    }
    Err(Omitted::NoPlace)
}

/// Text that is not a word for a missing value.
fn said(raw: &str) -> Result<std::borrow::Cow<'_, str>, Omitted> {
    let text = json_text::text(raw)?;
    if value::is_placeholder(&text) {
        return Err(Omitted::Placeholder);
    }
    Ok(text)
}
