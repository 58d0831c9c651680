//! What waits while a connection's socket has no room.

use super::Outbound;
use crate::base::{DropReason, QoS};
use crate::mqtt::session_context::SessionContext;

impl Outbound {
    /// The connection's socket has no room.
    pub fn on_socket_full(&mut self) {
        self.is_socket_full = true;
    }

    /// It has room for one message at least. More may follow once the caller has seen that there
    /// is room for more.
    pub fn on_writable(&mut self, context: &mut SessionContext<'_>) {
        self.is_socket_full = false;
        while self.take_from_queue(context) {
            if context.outbox.has_sends() {
                self.is_socket_full = !self.send_queue.is_empty();
                return;
            }
        }
    }

    /// The connection is gone: QoS 0 messages that waited for its socket wait for the next
    /// connection only if that is asked for.
    pub(super) fn drop_what_waits_for_socket(&mut self, context: &mut SessionContext<'_>) {
        self.is_socket_full = false;
        if !context.settings.queue_qos0 {
            self.drop_queued(context, DropReason::SocketFull, |it| it.qos == QoS::AtMostOnce);
        }
    }
}
