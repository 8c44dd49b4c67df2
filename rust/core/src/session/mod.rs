//! The two halves of an exchange: the request, once, and its attempts.

mod attempt;
mod estimates;
mod report;
mod request;
mod response;
mod signs;

pub use crate::estimate::CountJob;
pub use attempt::{
    Attempt, AttemptInput, LocalAnswer, Patience, Prepared, UpstreamRequest, WaitFor,
};
pub use request::{Ended, HeadStep, MODEL_HEADER, PendingRequest, Request, on_head};
pub use response::{BodyOut, BodyPlan, BodyStep, DROPPED_FIELDS, ResponseHead};
