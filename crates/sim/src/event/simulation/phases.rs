//! From one phase of a trial to the next.

use std::convert::Infallible;
use std::sync::Arc;

use super::{Simulation, client_index};
use crate::event::queue::{Class, Happening};
use qoslab_core::base::event::{Event, Observer, Phase};
use qoslab_core::base::name::{ClientIndex, Node};
use qoslab_core::mqtt::endpoint::Endpoint;
use qoslab_core::mqtt::settings::Request;
use qoslab_core::network::overrule::Overrule;

impl<C, B, O, R> Simulation<'_, C, B, O, R>
where
    C: Endpoint<Request = Request> + Clone,
    B: Endpoint<Request = Infallible> + Clone,
    O: Observer,
    R: Overrule,
{
    pub(super) fn begin(&mut self) {
        self.trace.turn(self.now, Class::Application as u8);
        self.tell(&Event::Phase(Phase::Connecting));
        let setup = Arc::clone(&self.setup);
        for (n, client) in (0..).zip(&setup.clients) {
            let client_index = ClientIndex(n);
            self.ask_client(client_index, Request::Connect);
            let wanted = client.subscriptions.iter().filter(|it| it.from.is_none());
            let requests: Vec<_> = wanted.map(|it| it.request.clone()).collect();
            if !requests.is_empty() {
                self.ask_client(client_index, Request::Subscribe(requests));
            }
        }
    }

    /// Enters as many phases as are due; whether the trial is over.
    pub(super) fn advance(&mut self) -> bool {
        loop {
            let is_done = match self.phase {
                Phase::Connecting => self.muster.is_complete() && self.may_begin(),
                Phase::Traffic => self.workload.is_done() && self.faults.awaited == 0,
                Phase::CalmOne | Phase::CalmTwo => self.is_quiescent(),
                Phase::Over => false,
            };
            match self.phase {
                Phase::Connecting if is_done => self.begin_traffic(),
                Phase::Traffic if is_done => self.begin_calm_one(),
                Phase::CalmOne if is_done => self.begin_calm_two(),
                _ => return is_done,
            }
        }
    }

    /// Whether it is time for the traffic to begin.
    fn may_begin(&mut self) -> bool {
        let is_time = self.now >= self.traffic_from;
        if !is_time && !self.awaits_traffic {
            self.awaits_traffic = true;
            self.queue.push(self.traffic_from, Happening::Begin);
        }
        is_time
    }

    fn is_quiescent(&mut self) -> bool {
        let nothing_moves = self.under_way.is_calm()
            && self.streaming == 0
            && self.armed == 0
            && self.dialling == 0
            && self.restarting == 0
            && self.doors.as_ref().is_none_or(|doors| doors.are_empty())
            && self.products_are_quiet()
            && !(self.owing > 0 && self.awaits_keep_alive());
        // What is held back for something that will not happen comes now.
        nothing_moves && !self.release_all()
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.tell(&Event::Phase(phase));
    }

    fn begin_traffic(&mut self) {
        self.enter(Phase::Traffic);
        self.muster.dismiss();
        for (at, happening) in self.workload.begin(self.now) {
            self.queue.push(at, happening);
        }
        for client in 0..self.setup.clients.len() {
            self.lines[client].link.traffic_began(self.now);
            self.plan_outage(client);
        }
        self.traffic_began = self.now;
        if let Some(transcript) = &mut self.terms.transcript {
            transcript.schedule.traffic = self.now;
        }
        for (at, fault) in self.faults.begin(self.now) {
            self.queue.push(at, Happening::Fault(fault));
        }
        self.plan_snapshots();
    }

    fn begin_calm_one(&mut self) {
        self.enter(Phase::CalmOne);
        for n in 0..self.lines.len() {
            let link = &mut self.lines[n].link;
            let was_down = link.is_down();
            link.end_faults();
            if was_down {
                self.tell(&Event::OutageEnded { client: client_index(n) });
            }
        }
        self.end_hindrances();
    }

    fn begin_calm_two(&mut self) {
        self.enter(Phase::CalmTwo);
        for n in 0..self.clients.len() {
            let client = client_index(n);
            if self.setup.clients[n].settings.clean {
                continue;
            }
            if self.is_foreign(Node::Client(client)) {
                // It connects again by itself.
                self.cut(client);
            } else {
                self.ask_client(client, Request::Reconnect);
            }
        }
    }
}
