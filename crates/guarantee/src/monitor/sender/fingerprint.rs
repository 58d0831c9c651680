//! The part of a sender's monitor that makes up its state. The numbers that only give an order are
//! ranked: they would grow for ever.

use super::{OutgoingExchange, SenderMonitor};
use qoslab_core::base::fingerprint::{Fingerprint, Fingerprinter, ranks};

impl Fingerprint for SenderMonitor {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        let Self {
            exchanges,
            forbidden,
            last_resent_order,
            last_released_pubrec,
            last_released_order,
            awaiting_resend,
            awaiting_pubrel,
            pubrel_due_since,
            unacknowledged,
            receive_maximum,
            resumed_at,
            // All that is sent or recorded from now on comes after all that was.
            first_sends: _,
            pubrecs_received: _,
        } = self;
        let all = || exchanges.iter().map(|(_, exchange)| exchange);
        let sent_before = |order: u32| all().filter(|it| it.send_order < order).count();
        let recorded_before = |order: u32| all().filter(|it| it.pubrec_order < order).count();
        let send_rank = ranks(all().map(|it| it.send_order));
        let pubrec_rank = ranks(all().map(|it| it.pubrec_order));
        let ranked = exchanges.iter().map(|(id, exchange)| {
            let OutgoingExchange {
                tag,
                qos,
                pubrel_sent,
                uncertain,
                pubrel_due,
                sent_on_connection,
                in_window,
                is_overtaken,
                repeated_pubrecs,
                send_order,
                pubrec_order,
            } = exchange;
            let flags =
                [pubrel_sent, uncertain, pubrel_due, sent_on_connection, in_window, is_overtaken];
            let ranks = (send_rank(*send_order), pubrec_rank(*pubrec_order));
            (id, tag, qos, flags, repeated_pubrecs, ranks)
        });
        into.plain(&(ranked.collect::<Vec<_>>(), forbidden));
        into.plain(&sent_before(*last_resent_order));
        into.plain(&recorded_before(*last_released_pubrec));
        into.plain(&sent_before(*last_released_order));
        into.compared_with_now(pubrel_due_since);
        into.compared_with_now(resumed_at);
        into.plain(&(awaiting_resend, awaiting_pubrel, unacknowledged, receive_maximum));
    }
}
