//! What stands in place of luck, and what luck decided.

use std::convert::Infallible;
use std::sync::Arc;

use super::{Simulation, client_index};
use crate::event::connections::pause;
use crate::event::lines::Line;
use crate::schedule::Came;
use crate::trial::Setup;
use qoslab_core::base::event::Observer;
use qoslab_core::base::name::{ClientIndex, PacketName};
use qoslab_core::base::time::Span;
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::Request;
use qoslab_core::network::overrule::Overrule;
use qoslab_core::network::script::Script;

/// Gives every link its part of the schedule, if there is one, and something to write on.
pub(super) fn script_links(setup: &Setup, records: bool, lines: &mut [Line]) {
    if setup.schedule.is_none() && !records {
        return;
    }
    let schedule = setup.schedule.as_ref();
    for (n, line) in lines.iter_mut().enumerate() {
        let script = Script {
            play: schedule.map(|schedule| Arc::clone(&schedule.fates)),
            record: records.then(Vec::new),
        };
        let outages = schedule.map(|schedule| {
            let own = schedule.outages.get(&client_index(n));
            own.into_iter().flatten().map(|outage| (outage.at, outage.lasts)).collect()
        });
        line.link.follow(script, outages);
    }
}

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    /// The trial is over: what befell packets is written down.
    pub(super) fn write_links_down(&mut self) {
        let Some(transcript) = &mut self.terms.transcript else { return };
        let fates = Arc::make_mut(&mut transcript.schedule.fates);
        for line in &mut self.lines {
            fates.extend(line.link.take_record());
        }
    }

    /// How long a client waits before it opens its next connection when `attempt` have failed.
    pub(super) fn pause(&mut self, client: ClientIndex, attempt: u32) -> Span {
        let backoff = self.setup.clients[client.index()].settings.reconnect;
        let way = &self.ways[client.index()];
        let (nth, plain) = (way.dialled, backoff.longest(attempt));
        let pause = match &self.setup.schedule {
            Some(schedule) => {
                schedule.pauses.get(&(client, nth, attempt)).copied().unwrap_or(plain)
            }
            None => pause(backoff, way.luck, attempt, nth),
        };
        if pause != plain
            && let Some(transcript) = &mut self.terms.transcript
        {
            transcript.schedule.pauses.insert((client, nth, attempt), pause);
        }
        pause
    }

    /// A fault comes, or the packet that it waited for.
    pub(super) fn write_fault_down(&mut self, fault: u32, packet: Option<PacketName>) {
        let at = self.now.since(self.traffic_began);
        let lasts = self.faults.action(fault).lasts();
        let lasts = lasts.map_or(Span::ZERO, |lasts| self.faults.lasts(fault, lasts));
        if let Some(transcript) = &mut self.terms.transcript {
            transcript.came.push(Came { fault, at, lasts, packet });
        }
    }
}
