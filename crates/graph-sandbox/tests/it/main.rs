//! The sandbox over real HTTP: its rules, the edge around them, and its faults.

mod edge;
mod fault;
mod harness;
mod rule;
