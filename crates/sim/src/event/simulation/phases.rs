//! Transitions from one phase of a trial to the next.

use std::sync::Arc;

use super::Simulation;
use crate::event::node_driver::NodeDriver;
use crate::event::queue::QueuedEvent;
use qoslab_core::base::{ClientIndex, Event, Node, Observer, Phase};
use qoslab_core::mqtt::ClientRequest;

impl<D: NodeDriver, O: Observer> Simulation<'_, D, O> {
    pub(in crate::event) fn start(&mut self) {
        self.reporter.record_start(self.timeline.now);
        self.notify_observers(&Event::Phase(Phase::Connecting));
        let setup = Arc::clone(&self.setup);
        for (n, client) in (0..).zip(&setup.clients) {
            let client_index = ClientIndex(n);
            self.request_client(client_index, ClientRequest::Connect);
            let subscriptions = client.subscriptions.iter().filter(|it| it.from.is_none());
            let requests: Vec<_> = subscriptions.map(|it| it.request.clone()).collect();
            if !requests.is_empty() {
                self.request_client(client_index, ClientRequest::Subscribe(requests));
            }
        }
    }

    /// Enters as many phases as are due; whether the trial is over.
    pub(in crate::event) fn advance_phase(&mut self) -> bool {
        loop {
            let is_done = match self.timeline.phase {
                Phase::Connecting => {
                    self.nodes.readiness.is_all_ready() && self.timeline.is_traffic_due()
                }
                Phase::Traffic => self.workload.is_done() && self.faults.timed_pending == 0,
                Phase::Drain | Phase::ReconnectDrain => self.is_quiescent(),
                Phase::Over => false,
            };
            match self.timeline.phase {
                Phase::Connecting if is_done => self.begin_traffic(),
                Phase::Traffic if is_done => self.begin_drain(),
                Phase::Drain if is_done => self.begin_reconnect_drain(),
                _ => return is_done,
            }
        }
    }

    fn is_quiescent(&mut self) -> bool {
        let is_idle = self.network.is_idle()
            && self.nodes.is_idle(self.timeline.now, &self.network.connections)
            && !(self.nodes.has_backlog() && self.network.is_awaiting_keep_alive(&self.setup));
        // What is held back for something that will not happen comes now.
        is_idle && !self.release_all_delayed()
    }

    pub(super) fn enter_phase(&mut self, phase: Phase) {
        match phase {
            Phase::Traffic => self.network.reset_radio_use(self.timeline.now),
            Phase::ReconnectDrain | Phase::Over if self.reporter.radio.is_none() => {
                self.reporter.radio = self.network.radio_use(self.timeline.now);
            }
            _ => {}
        }
        self.timeline.phase = phase;
        self.notify_observers(&Event::Phase(phase));
    }

    fn begin_traffic(&mut self) {
        self.enter_phase(Phase::Traffic);
        self.nodes.readiness.clear();
        for (at, event) in self.workload.start(self.timeline.now) {
            self.timeline.schedule(at, event);
        }
        for client in self.nodes.client_indices() {
            self.network.start_traffic(&mut self.timeline, client);
        }
        self.timeline.traffic_start = self.timeline.now;
        if let Some(transcript) = &mut self.run_context.transcript {
            transcript.schedule.traffic_start = self.timeline.now;
        }
        for (at, fault) in self.faults.first_times(self.timeline.now) {
            self.timeline.schedule(at, QueuedEvent::Fault(fault));
        }
        self.schedule_snapshots();
    }

    fn begin_drain(&mut self) {
        self.enter_phase(Phase::Drain);
        for client in self.nodes.client_indices() {
            let link = &mut self.network.link_mut(client).link_state;
            let was_down = link.is_down();
            link.end_faults();
            if was_down {
                self.notify_observers(&Event::OutageEnded { client });
            }
        }
        self.end_impairments();
    }

    fn begin_reconnect_drain(&mut self) {
        self.enter_phase(Phase::ReconnectDrain);
        for client in self.nodes.client_indices() {
            if self.setup.clients[client.index()].settings.clean {
                continue;
            }
            if self.nodes.driver.is_sut(Node::Client(client)) {
                // It connects again by itself.
                self.cut_connections(client);
            } else {
                self.request_client(client, ClientRequest::Reconnect);
            }
        }
    }
}
