//! What Meta publishes about how well a parameter of `user_data` identifies a person.
//!
//! Meta publishes words, not weights: the priorities of CRM customer information ("Payload specification": lead id,
//! click id and hashed e-mail highest, hashed phone high, other hashed contact information medium) and the list of
//! high-quality parameters ("Best practices": e-mail, IP address, first and last name, phone). Where both rate a
//! parameter, the better word counts.

use super::{PARAMETERS, Parameter, Section};

/// How well a parameter identifies a person, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    Highest,
    High,
    Medium,
    NotPublished,
}

impl Strength {
    /// The strength of a parameter of `user_data`.
    pub(crate) fn of(key: &str) -> Self {
        match key {
            "lead_id" | "fbc" | "em" => Self::Highest,
            "ph" | "client_ip_address" | "fn" | "ln" => Self::High,
            "ge" | "db" | "ct" | "st" | "zp" | "country" => Self::Medium,
            _ => Self::NotPublished,
        }
    }

    /// For people.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Highest => "highest",
            Self::High => "high",
            Self::Medium => "medium",
            Self::NotPublished => "not published",
        }
    }

    /// Whether an explanation names it when an event lacks it.
    pub(crate) const fn is_strong(self) -> bool {
        matches!(self, Self::Highest | Self::High)
    }
}

/// A parameter of `user_data`, with its strength.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identifier {
    /// Its place in the table of parameters.
    pub(crate) place: usize,
    pub(crate) strength: Strength,
}

impl Identifier {
    /// Every parameter of `user_data`, in the order of the table.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let user_data = PARAMETERS
            .iter()
            .enumerate()
            .filter(|(_, parameter)| parameter.section == Section::UserData);
        user_data.map(|(place, parameter)| Self {
            place,
            strength: Strength::of(parameter.key),
        })
    }

    pub(crate) fn parameter(self) -> &'static Parameter {
        &PARAMETERS[self.place]
    }

    /// Whether it is worth reporting as missing although no event has it. Lead ids come from Meta's own lead forms only, and
    /// what Meta does not rate has no known benefit.
    pub(crate) fn can_be_missed(self) -> bool {
        self.strength != Strength::NotPublished && self.parameter().key != "lead_id"
    }
}
