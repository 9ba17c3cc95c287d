//! A local stand-in for the events edge of Meta's Graph API.
