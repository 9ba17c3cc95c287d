//! A host for pipeline sinks.
