//! What stands in place of luck, and what luck decided.

use std::convert::Infallible;
use std::sync::Arc;

use super::{Simulation, client_index};
use crate::event::connections::backoff_delay;
use crate::event::links::ClientLink;
use crate::schedule::FaultOccurrence;
use crate::trial::Setup;
use qoslab_core::base::event::Observer;
use qoslab_core::base::name::{ClientIndex, PacketName};
use qoslab_core::base::time::Span;
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::ClientRequest;
use qoslab_core::network::recorded_fates::RecordedFates;

/// Gives every link its part of the schedule, if there is one, and something to write on.
pub(super) fn install_recorded_fates(setup: &Setup, is_recording: bool, links: &mut [ClientLink]) {
    if setup.schedule.is_none() && !is_recording {
        return;
    }
    let schedule = setup.schedule.as_ref();
    for (n, link) in links.iter_mut().enumerate() {
        let script = RecordedFates {
            replay: schedule.map(|schedule| Arc::clone(&schedule.fates)),
            recording: is_recording.then(Vec::new),
        };
        let outages = schedule.map(|schedule| {
            let own = schedule.outages.get(&client_index(n));
            own.into_iter().flatten().map(|outage| (outage.at, outage.lasts)).collect()
        });
        link.link_state.set_recorded_fates(script, outages);
    }
}

impl<C, B, O> Simulation<'_, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    /// The trial is over: what befell packets is written down.
    pub(super) fn record_link_fates(&mut self) {
        let Some(transcript) = &mut self.run_context.transcript else { return };
        let fates = Arc::make_mut(&mut transcript.schedule.fates);
        for link in &mut self.links {
            fates.extend(link.link_state.take_recorded_fates());
        }
    }

    /// How long a client waits before it opens its next connection when `attempt` have failed.
    pub(super) fn reconnect_delay(&mut self, client: ClientIndex, attempt: u32) -> Span {
        let backoff = self.setup.clients[client.index()].settings.reconnect;
        let connector = &self.connectors[client.index()];
        let (nth, longest) = (connector.connections_opened, backoff.max_pause(attempt));
        let delay = match &self.setup.schedule {
            Some(schedule) => {
                schedule.pauses.get(&(client, nth, attempt)).copied().unwrap_or(longest)
            }
            None => backoff_delay(backoff, connector.draw_key, attempt, nth),
        };
        if delay != longest
            && let Some(transcript) = &mut self.run_context.transcript
        {
            transcript.schedule.pauses.insert((client, nth, attempt), delay);
        }
        delay
    }

    /// A fault comes, or the packet that it waited for.
    pub(super) fn record_fault(&mut self, fault: u32, packet: Option<PacketName>) {
        let at = self.now.since(self.traffic_began);
        let lasts = self.faults.action(fault).lasts();
        let lasts = lasts.map_or(Span::ZERO, |lasts| self.faults.draw_duration(fault, lasts));
        if let Some(transcript) = &mut self.run_context.transcript {
            transcript.occurrences.push(FaultOccurrence { fault, at, lasts, packet });
        }
    }
}
