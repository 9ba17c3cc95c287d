//! A pipeline sink that delivers analytics events to Meta's Conversions API.

#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "the sink that sends through it is joined separately"
    )
)]
mod delivery;
mod request;
mod response;
