//! A pipeline sink that delivers analytics events to Meta's Conversions API.

#[cfg_attr(
    not(test),
    expect(dead_code, unused_imports, reason = "the mapping is its caller")
)]
mod identity;
