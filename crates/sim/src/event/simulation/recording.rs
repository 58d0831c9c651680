//! Scheduled values in place of random draws, and recording of what was drawn.

use std::sync::Arc;

use super::Simulation;
use crate::event::connections::backoff_delay;
use crate::event::node_driver::NodeDriver;
use crate::schedule::FaultOccurrence;
use qoslab_core::base::{ClientIndex, Observer, PacketName, Span};

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    /// The trial is over: records the fates of packets.
    pub(super) fn record_link_fates(&mut self) {
        let Some(transcript) = &mut self.run_context.transcript else { return };
        let fates = Arc::make_mut(&mut transcript.schedule.fates);
        for link in &mut self.network.links {
            fates.extend(link.link_state.take_recorded_fates());
        }
    }

    /// How long a client waits before it opens its next connection when `attempt` have failed.
    pub(super) fn reconnect_delay(&mut self, client: ClientIndex, attempt: u32) -> Span {
        let backoff = self.setup.clients[client.index()].settings.reconnect;
        let connector = &self.nodes.connectors[client.index()];
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
        let at = self.timeline.since_traffic_start();
        let lasts = self.faults.action(fault).lasts();
        let lasts = lasts.map_or(Span::ZERO, |lasts| self.faults.draw_duration(fault, lasts));
        if let Some(transcript) = &mut self.run_context.transcript {
            transcript.occurrences.push(FaultOccurrence { fault, at, lasts, packet });
        }
    }
}
