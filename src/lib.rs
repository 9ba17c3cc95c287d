//! A pipeline sink that delivers analytics events to Meta's Conversions API.
mod identity;
