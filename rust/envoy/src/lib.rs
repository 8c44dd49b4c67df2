//! Envoy dynamic module: the host that mounts `aigw-runtime` inside Envoy.
//!
//! Two HTTP filters, told apart by `filter_name`:
//!
//! | Name | Place | Config (JSON) |
//! |---|---|---|
//! | `request` | connection manager, before routing | `{"runtime": "<dir>", "gateway": "<ns>/<name>"}` |
//! | `attempt` | upstream filters of a cluster | `{"runtime": "<dir>", "backend": "<id>"}` |
//!
//! An `attempt` config without `backend` takes the id from the metadata of the chosen host, then
//! of the cluster: `aigateway.envoy.io` / `per_route_rule_backend_name`.
//!
//! The host moves bytes and decides nothing. [`abi`] is the only place of `unsafe` code; the
//! filters see a [`abi::Stream`] and answer each event with a [`filter::Step`].

#![deny(unsafe_code)]

#[expect(unsafe_code, reason = "Envoy's interface is C")]
mod abi;
mod attempt;
mod config;
mod filter;
mod panics;
mod request;
mod table;

#[cfg(test)]
#[expect(unsafe_code, reason = "stands in for Envoy's side of the C interface")]
mod fake;
