//! One TCP connection: two streams, whose segments and acknowledgements meet the link.

use std::mem;
use std::ops::Range;

use super::activity::TcpActivity;
use super::receiver::Acknowledgement;
use super::sender::Transmission;
use crate::base::draw::DrawKey;
use crate::base::{ClientIndex, Direction, Fate, PacketName, Time};
use crate::impl_fingerprint;
use crate::network::link::LinkState;
use crate::network::settings::TcpSettings;

mod stream;

use self::stream::{Patience, Stream, StreamedName, UnderWay};

/// Context of a connection for one call.
#[derive(Debug)]
pub struct TcpContext<'a> {
    /// The link that the connection is on.
    pub link: &'a mut LinkState,
    /// Settings of the connection; the same in every call.
    pub tcp: &'a TcpSettings,
    /// The client whose link it is; the same in every call.
    pub client: ClientIndex,
}

/// What is written into a stream.
#[derive(Clone, Debug)]
pub struct StreamItem<T> {
    /// What comes out at the other end.
    pub value: T,
    /// Its length: MQTT and TLS, without the headers of IP and TCP. One without bytes is a SYN or a
    /// FIN, for which Nagle's algorithm does not wait.
    pub bytes: u32,
    /// With `publisher_key` it names the random draws, as in [`LinkState::fate`].
    pub name: PacketName,
    /// See `name`.
    pub publisher_key: Option<DrawKey>,
}

/// The two streams of one connection, carrying items of type `T` both ways.
///
/// The caller writes, and at [`Self::next_wake`] wakes the connection and pops what has arrived.
/// Calls come in order of time. An acknowledgement that changes nothing but its sender's memory
/// wakes nobody: it is read before whatever is next.
#[derive(Clone, Debug)]
pub struct TcpStreams<T> {
    /// Upwards, downwards.
    streams: [Stream<T>; 2],
    is_silently_dead: bool,
    /// When anything was last put on the link.
    last_sent: Time,
    /// When something is due that shows.
    next_wake: Time,
}

impl_fingerprint! {
    struct TcpStreams<T> {
        plain streams, is_silently_dead, next_wake;
        skip last_sent: "only a NAT asks, and not where states are compared";
    }
}

impl<T> Default for TcpStreams<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> TcpStreams<T> {
    /// With nothing on them.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            streams: [Stream::new(), Stream::new()],
            is_silently_dead: false,
            last_sent: Time::ZERO,
            next_wake: Time::NEVER,
        }
    }

    /// Writes an item into the stream of its name's direction.
    pub fn write(
        &mut self,
        now: Time,
        mut context: TcpContext<'_>,
        item: StreamItem<T>,
    ) -> TcpActivity {
        let StreamItem { value, bytes, name, publisher_key } = item;
        let direction = name.direction;
        let mut activity = TcpActivity::default();
        self.wake_until(now, &mut context, &mut activity);
        let stream = &mut self.streams[direction as usize];
        let start = stream.sender.written();
        stream.names.push_back(StreamedName { start, name, publisher_key });
        if bytes == 0 {
            stream.markers.push(start);
        }
        let numbers = u64::from(bytes.max(1));
        stream.items.push_back((value, start + numbers));
        stream.sender.write(now, numbers, bytes == 0, context.tcp);
        self.flush(now, &mut context, direction, &mut activity);
        self.update_next_wake(context.tcp);
        activity
    }

    /// When [`Self::wake`] has something to do; [`Time::NEVER`] if nothing, and if it lies in the
    /// past, at once.
    #[must_use]
    #[inline]
    pub const fn next_wake(&self) -> Time {
        self.next_wake
    }

    /// Does what is due: segments arrive, timers expire.
    pub fn wake(&mut self, now: Time, mut context: TcpContext<'_>) -> TcpActivity {
        let mut activity = TcpActivity::default();
        self.wake_until(now, &mut context, &mut activity);
        for direction in [Direction::Up, Direction::Down] {
            let patience = &mut self.streams[direction as usize].patience;
            if *patience == Patience::IsOver {
                *patience = Patience::WasOver;
                activity[direction].gave_up = true;
            }
        }
        self.update_next_wake(context.tcp);
        activity
    }

    /// Whether all of the next item of a direction has arrived.
    #[must_use]
    #[inline]
    pub fn has_arrived(&self, direction: Direction) -> bool {
        self.streams[direction as usize].has_arrived()
    }

    /// Whether anything of a direction has arrived that its receiver has not read, be it part of an
    /// item.
    #[must_use]
    #[inline]
    pub fn has_unread(&self, direction: Direction) -> bool {
        self.streams[direction as usize].receiver.has_unread()
    }

    /// The receiver of a direction reads: the next item that has arrived.
    pub fn pop_arrived(&mut self, now: Time, tcp: &TcpSettings, direction: Direction) -> Option<T> {
        let stream = &mut self.streams[direction as usize];
        let arrived = stream.receiver.next();
        let popped = stream.items.pop_front_if(|(_, end)| *end <= arrived);
        // A reader that gets no whole item has read what there is of the next one.
        let read = popped.as_ref().map_or(arrived, |(_, end)| *end);
        let buffer = tcp.reading_socket(direction).receive_buffer;
        if stream.receiver.on_read(now, read, tcp.mss, buffer) {
            self.next_wake = now;
        }
        popped.map(|(item, end)| {
            stream.popped = end;
            item
        })
    }

    /// Whether part of the next item of a direction has arrived, and more of it than when this was
    /// last asked.
    pub fn takes_part_of_item(&mut self, direction: Direction) -> bool {
        let stream = &mut self.streams[direction as usize];
        let arrived = stream.receiver.next();
        let has_grown = arrived > stream.noticed.max(stream.popped);
        stream.noticed = arrived;
        has_grown && !stream.has_arrived()
    }

    /// Whether the sending socket of a direction has no room: then a write would block.
    #[must_use]
    pub fn is_full(&self, direction: Direction, tcp: &TcpSettings) -> bool {
        let (used, size) = self.send_buffer(direction, tcp);
        used >= size
    }

    /// Whether the sending socket of a direction that was full is writable again: a third of it is
    /// free, as in Linux (`sk_stream_is_writeable`).
    #[must_use]
    pub fn is_writable(&self, direction: Direction, tcp: &TcpSettings) -> bool {
        let (used, size) = self.send_buffer(direction, tcp);
        used <= size / 3 * 2
    }

    /// How much of the sending buffer of a direction is used, and how large it is.
    fn send_buffer(&self, direction: Direction, tcp: &TcpSettings) -> (u64, u64) {
        let sender = &self.streams[direction as usize].sender;
        (sender.buffered(), sender.buffer_size(tcp.mss, tcp.sending_socket(direction).send_buffer))
    }

    /// Someone waits until the sending socket of a direction [is writable](Self::is_writable), or
    /// no longer: then each acknowledgement wakes.
    pub fn set_awaits_room(&mut self, direction: Direction, awaits_room: bool, tcp: &TcpSettings) {
        self.streams[direction as usize].awaits_room = awaits_room;
        self.update_next_wake(tcp);
    }

    /// Whether [`Self::set_awaits_room`] was last called with `true`.
    #[must_use]
    pub const fn awaits_room(&self, direction: Direction) -> bool {
        self.streams[direction as usize].awaits_room
    }

    /// The item that was written last in a direction, if it was not read yet.
    pub fn newest_mut(&mut self, direction: Direction) -> Option<&mut T> {
        self.streams[direction as usize].items.back_mut().map(|(item, _)| item)
    }

    /// The items of a direction that have not been read, in order.
    pub fn items(&self, direction: Direction) -> impl Iterator<Item = &T> {
        self.streams[direction as usize].items.iter().map(|(item, _)| item)
    }

    /// When anything was last put on the link, either way; [`Time::ZERO`] if nothing was.
    #[must_use]
    pub const fn last_sent(&self) -> Time {
        self.last_sent
    }

    /// Whether [`Self::die_silently`] was called.
    #[must_use]
    pub const fn is_silently_dead(&self) -> bool {
        self.is_silently_dead
    }

    /// The connection died silently: nothing arrives any more, what is under way included. The
    /// senders do not know, and keep trying until their user timeouts. What the broker sends
    /// reaches the client's link no more.
    pub fn die_silently(&mut self, now: Time, tcp: &TcpSettings) {
        self.is_silently_dead = true;
        for stream in &mut self.streams {
            stream.under_way.retain(|segment| segment.at <= now);
        }
        self.update_next_wake(tcp);
    }

    /// The sending end of a direction is closed, and sends nothing more: what was not read, in
    /// order, which never arrives.
    pub fn abandon(&mut self, direction: Direction) -> impl Iterator<Item = T> {
        let stream = &mut self.streams[direction as usize];
        stream.sender.stop();
        for segment in &mut stream.under_way {
            segment.bytes = 0..0;
        }
        mem::take(&mut stream.items).into_iter().map(|(item, _)| item)
    }

    // ---- what is due ----

    fn update_next_wake(&mut self, tcp: &TcpSettings) {
        let [up, down] = &self.streams;
        self.next_wake = up.due_that_shows(down, tcp).min(down.due_that_shows(up, tcp));
    }

    /// Does all that is due, in order of time; what arrives comes before the timers.
    fn wake_until(&mut self, now: Time, context: &mut TcpContext<'_>, activity: &mut TcpActivity) {
        loop {
            let arrivals = self.streams.each_ref().map(Stream::arrives_at);
            let timers = self.streams.each_ref().map(|stream| stream.timer(context.tcp));
            let arrival = arrivals[0].min(arrivals[1]);
            let timer = timers[0].min(timers[1]);
            if arrival > now && timer > now {
                return;
            }
            for direction in [Direction::Up, Direction::Down] {
                if arrival > timer {
                    self.run_timers(timer, context, direction, activity);
                } else if arrivals[direction as usize] == arrival {
                    self.take_arrivals(arrival, context, direction, activity);
                }
            }
        }
    }

    /// What arrives in a direction now is read by its receiver, and by the sender of the other.
    fn take_arrivals(
        &mut self,
        now: Time,
        context: &mut TcpContext<'_>,
        direction: Direction,
        activity: &mut TcpActivity,
    ) {
        loop {
            let stream = &mut self.streams[direction as usize];
            let Some(segment) = stream.under_way.pop_front_if(|segment| segment.at <= now) else {
                let round_trip = stream.sender.shortest_round_trip();
                return stream.receiver.tune_window(now, round_trip, context.tcp.mss);
            };
            if !segment.bytes.is_empty() {
                stream.receiver.on_segment(now, segment.bytes, segment.sent, context.tcp.mss);
            }
            let back = direction.reverse();
            self.streams[back as usize].on_acknowledgement(now, &segment.ack, context.tcp);
            self.flush(now, context, back, activity);
        }
    }

    fn run_timers(
        &mut self,
        now: Time,
        context: &mut TcpContext<'_>,
        direction: Direction,
        activity: &mut TcpActivity,
    ) {
        let stream = &mut self.streams[direction as usize];
        if stream.patience == Patience::Tries && stream.sender.next_due(context.tcp) <= now {
            if stream.sender.gives_up_at(context.tcp) <= now {
                stream.patience = Patience::IsOver;
                return;
            }
            if let Some(probe) = stream.sender.on_due(now, context.tcp) {
                self.transmit(now, context, direction, &probe, activity);
            }
            self.flush(now, context, direction, activity);
        }
        let receiver = &mut self.streams[direction as usize].receiver;
        if receiver.acks_at() <= now {
            if receiver.has_waited(now) {
                receiver.on_wait_over();
            }
            let ack = receiver.acknowledge(context.tcp.reading_socket(direction).receive_buffer);
            self.send_without_data(now, context, direction.reverse(), (0..0, ack), activity);
        }
    }

    /// Sends what may go in a direction.
    #[inline]
    fn flush(
        &mut self,
        now: Time,
        context: &mut TcpContext<'_>,
        direction: Direction,
        activity: &mut TcpActivity,
    ) {
        let nodelay = context.tcp.sending_socket(direction).nodelay;
        while let Some(next) =
            self.streams[direction as usize].sender.next_transmission(now, context.tcp, nodelay)
        {
            self.transmit(now, context, direction, &next, activity);
        }
    }

    /// Puts a segment on the link, with the acknowledgement of what has come the other way.
    fn transmit(
        &mut self,
        now: Time,
        context: &mut TcpContext<'_>,
        direction: Direction,
        transmission: &Transmission,
        activity: &mut TcpActivity,
    ) {
        let receiver = &mut self.streams[direction.reverse() as usize].receiver;
        let buffer = context.tcp.sending_socket(direction).receive_buffer;
        let (start, end, attempt) = match *transmission {
            Transmission::Data { start, end, attempt } => (start, end, attempt),
            Transmission::WindowProbe { number } => {
                let ack = receiver.acknowledge(buffer);
                let bytes = number..number + 1;
                return self.send_without_data(now, context, direction, (bytes, ack), activity);
            }
        };
        receiver.on_data_sent(now);
        let ack = receiver.acknowledge(buffer);
        let stream = &self.streams[direction as usize];
        let wire = stream.byte_count(start..end) + context.tcp.headers;
        let activity = &mut activity[direction];
        if attempt == 0 {
            activity.segments += 1;
        } else {
            activity.retransmissions += 1;
            activity.retransmitted_bytes += wire;
        }
        let (sending, publisher_key) = stream.sending(start, attempt);
        if self.reaches_link(now, direction) {
            let fate = context.link.segment_fate(now, publisher_key, sending, wire);
            self.put_under_way(now, direction, &fate, (start..end, ack));
        }
    }

    /// Sends an acknowledgement alone, or a question whether there is room.
    fn send_without_data(
        &mut self,
        now: Time,
        context: &mut TcpContext<'_>,
        direction: Direction,
        segment: (Range<u64>, Acknowledgement),
        activity: &mut TcpActivity,
    ) {
        activity[direction].acknowledgements += 1;
        if self.reaches_link(now, direction) {
            let bytes = context.tcp.headers;
            let fate = context.link.ack_fate(now, context.client, direction, bytes);
            self.put_under_way(now, direction, &fate, segment);
        }
    }

    /// Something is sent now: whether it gets as far as the client's link. What the broker sends
    /// on a dead connection does not.
    fn reaches_link(&mut self, now: Time, direction: Direction) -> bool {
        self.last_sent = now;
        direction == Direction::Up || !self.is_silently_dead
    }

    fn put_under_way(
        &mut self,
        now: Time,
        direction: Direction,
        fate: &Fate,
        (bytes, ack): (Range<u64>, Acknowledgement),
    ) {
        let Fate::Arrives(arrival) = *fate else { return };
        if self.is_silently_dead {
            return;
        }
        let queue = &mut self.streams[direction as usize].under_way;
        let place = queue.partition_point(|other| other.at <= arrival.at);
        queue.insert(place, UnderWay { at: arrival.at, sent: now, bytes, ack });
    }
}

#[cfg(test)]
mod tests;
