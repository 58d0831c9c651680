//! From one phase of a trial to the next.

use std::convert::Infallible;
use std::sync::Arc;

use super::{Simulation, client_index};
use crate::event::queue::{EventClass, QueuedEvent};
use qoslab_core::base::event::{Event, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Node};
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::ClientRequest;

impl<C, B, O> Simulation<'_, C, B, O>
where
    C: Endpoint<Request = ClientRequest> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
{
    pub(super) fn start(&mut self) {
        self.trace.record_dispatch(self.now, EventClass::Application as u8);
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
    pub(super) fn advance_phase(&mut self) -> bool {
        loop {
            let is_done = match self.phase {
                Phase::Connecting => self.readiness.is_all_ready() && self.is_traffic_due(),
                Phase::Traffic => self.workload.is_done() && self.faults.timed_pending == 0,
                Phase::Drain | Phase::ReconnectDrain => self.is_quiescent(),
                Phase::Over => false,
            };
            match self.phase {
                Phase::Connecting if is_done => self.begin_traffic(),
                Phase::Traffic if is_done => self.begin_drain(),
                Phase::Drain if is_done => self.begin_reconnect_drain(),
                _ => return is_done,
            }
        }
    }

    /// Whether it is time for the traffic to begin.
    fn is_traffic_due(&mut self) -> bool {
        let is_due = self.now >= self.traffic_not_before;
        if !is_due && !self.is_traffic_start_queued {
            self.is_traffic_start_queued = true;
            self.queue.push(self.traffic_not_before, QueuedEvent::TrafficStart);
        }
        is_due
    }

    fn is_quiescent(&mut self) -> bool {
        let is_idle = self.in_flight.is_drained()
            && self.tcp_awaited == 0
            && self.nodes_with_timer == 0
            && self.clients_connecting == 0
            && self.restarts_pending == 0
            && self.inboxes.as_ref().is_none_or(|inboxes| inboxes.is_empty())
            && self.are_sut_nodes_idle()
            && !(self.nodes_with_backlog > 0 && self.is_awaiting_keep_alive());
        // What is held back for something that will not happen comes now.
        is_idle && !self.release_all_delayed()
    }

    pub(super) fn enter_phase(&mut self, phase: Phase) {
        self.phase = phase;
        self.notify_observers(&Event::Phase(phase));
    }

    fn begin_traffic(&mut self) {
        self.enter_phase(Phase::Traffic);
        self.readiness.clear();
        for (at, happening) in self.workload.start(self.now) {
            self.queue.push(at, happening);
        }
        for client in 0..self.setup.clients.len() {
            self.links[client].link_state.start_traffic(self.now);
            self.schedule_outage(client);
        }
        self.traffic_began = self.now;
        if let Some(transcript) = &mut self.run_context.transcript {
            transcript.schedule.traffic_start = self.now;
        }
        for (at, fault) in self.faults.first_times(self.now) {
            self.queue.push(at, QueuedEvent::Fault(fault));
        }
        self.schedule_snapshots();
    }

    fn begin_drain(&mut self) {
        self.enter_phase(Phase::Drain);
        for n in 0..self.links.len() {
            let link = &mut self.links[n].link_state;
            let was_down = link.is_down();
            link.end_faults();
            if was_down {
                self.notify_observers(&Event::OutageEnded { client: client_index(n) });
            }
        }
        self.end_impairments();
    }

    fn begin_reconnect_drain(&mut self) {
        self.enter_phase(Phase::ReconnectDrain);
        for n in 0..self.clients.len() {
            let client = client_index(n);
            if self.setup.clients[n].settings.clean {
                continue;
            }
            if self.is_sut(Node::Client(client)) {
                // It connects again by itself.
                self.cut_connections(client);
            } else {
                self.request_client(client, ClientRequest::Reconnect);
            }
        }
    }
}
