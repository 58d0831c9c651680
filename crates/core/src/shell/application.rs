//! The application behind an endpoint: its requests, and the handler of the endpoint's outputs.

use std::future::{self, Future};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::base::Time;
use crate::mqtt::{Backlog, ClientRequest, Output};

/// Handler of an endpoint's outputs: the application, or a harness.
pub trait OutputHandler: 'static {
    /// One thing that it did: any output but `Send`, `Connect` and `Close`. The rest of what
    /// follows from the same input comes at once.
    fn handle_output(&mut self, output: Output);

    /// After each input and all that followed from it: what is left to do, and when the endpoint
    /// wants to be woken.
    fn input_done(&mut self, backlog: Backlog, next_timeout: Time);
}

/// Source of an application's requests, one after the other.
pub trait RequestSource {
    /// The next request; pending for ever after the last. Dropped before its end it loses none.
    fn next_request(&mut self) -> impl Future<Output = ClientRequest>;
}

impl RequestSource for UnboundedReceiver<ClientRequest> {
    async fn next_request(&mut self) -> ClientRequest {
        match self.recv().await {
            Some(request) => request,
            None => future::pending().await,
        }
    }
}
