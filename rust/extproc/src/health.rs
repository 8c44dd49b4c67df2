//! `grpc.health.v1.Health/Check`, by hand: one field in one message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tonic::{Request, Response, Status};

/// Name of the gRPC service.
pub(crate) const SERVICE: &str = "grpc.health.v1.Health";

/// `HealthCheckResponse { status: SERVING }`.
const SERVING: &[u8] = &[0x08, 0x01];
/// `HealthCheckResponse { status: NOT_SERVING }`.
const NOT_SERVING: &[u8] = &[0x08, 0x02];

/// Answers for every service name: there is only one.
#[derive(Clone)]
pub(crate) struct Check(pub(crate) Arc<AtomicBool>);

impl tonic::server::UnaryService<Bytes> for Check {
    type Response = Bytes;
    type Future = std::future::Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _request: Request<Bytes>) -> Self::Future {
        let serving = self.0.load(Ordering::Acquire);
        let answer = if serving { SERVING } else { NOT_SERVING };
        std::future::ready(Ok(Response::new(Bytes::from_static(answer))))
    }
}
