//! What is compared: cells of a table.

use std::fmt;
use std::str::FromStr;

use qoslab_core::base::{QoS, Span};

/// Messages over a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The messages.
    pub workload: Workload,
    /// At which they are published: 0 or 1.
    pub qos: QoS,
    /// Whether both ends set `TCP_NODELAY`; if not, Nagle's algorithm is on.
    pub nodelay: bool,
    /// The delay of the link in milliseconds, one way.
    pub delay_ms: u32,
    /// Of 100 IP packets, how many are lost each way.
    pub loss_percent: u32,
    /// What the packets have to pass each way, if anything.
    pub bottleneck: Option<Bottleneck>,
}

/// A narrow line with a queue that drops what does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// In kbit a second.
    pub rate_kbit: u32,
    /// Packets that may wait.
    pub queue: u32,
}

/// Which messages are published, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// 64 bytes each 100 ms, as many as asked for.
    Trickle,
    /// 300 kB in one message.
    OneMessage,
    /// 300 messages of 1 kB at once.
    Burst,
}

impl Workload {
    /// How many messages there are, where a trickle has so many.
    #[must_use]
    pub const fn messages(self, trickle: u32) -> u32 {
        match self {
            Self::Trickle => trickle,
            Self::OneMessage => 1,
            Self::Burst => 300,
        }
    }

    /// The length of each payload in bytes.
    #[must_use]
    pub const fn payload(self) -> usize {
        match self {
            Self::Trickle => 64,
            Self::OneMessage => 300_000,
            Self::Burst => 1_000,
        }
    }

    /// From one message to the next; zero for all at once.
    #[must_use]
    pub const fn every(self) -> Span {
        match self {
            Self::Trickle => Span::from_millis(100),
            Self::OneMessage | Self::Burst => Span::ZERO,
        }
    }
}

impl Cell {
    /// 48 trickles over every loss and delay, some over a narrow line, and bulk.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for delay_ms in [10, 40, 300] {
            for loss in [0, 1, 5, 10] {
                for (qos, nodelay) in WAYS {
                    cells.push(Self::trickle(delay_ms, loss, qos, nodelay));
                }
            }
        }
        let narrow = Some(Bottleneck { rate_kbit: 64, queue: 20 });
        for loss in [0, 5] {
            for nodelay in [false, true] {
                let cell = Self::trickle(40, loss, QoS::AtLeastOnce, nodelay);
                cells.push(Self { bottleneck: narrow, ..cell });
            }
        }
        for queue in [20, 100] {
            for loss in [0, 1] {
                cells.push(Self::bulk(Workload::OneMessage, queue, loss, QoS::AtMostOnce, false));
            }
        }
        for queue in [20, 100] {
            for (qos, nodelay) in WAYS {
                cells.push(Self::bulk(Workload::Burst, queue, 0, qos, nodelay));
            }
        }
        cells
    }

    /// Those that CI can wait for: each is one of [`Self::all`].
    #[must_use]
    pub fn six() -> Vec<Self> {
        vec![
            Self::trickle(40, 0, QoS::AtMostOnce, false),
            Self::trickle(40, 1, QoS::AtLeastOnce, true),
            Self::trickle(40, 5, QoS::AtLeastOnce, false),
            Self::trickle(300, 5, QoS::AtMostOnce, true),
            Self::bulk(Workload::OneMessage, 20, 0, QoS::AtMostOnce, false),
            Self::bulk(Workload::Burst, 100, 0, QoS::AtLeastOnce, false),
        ]
    }

    const fn trickle(delay_ms: u32, loss_percent: u32, qos: QoS, nodelay: bool) -> Self {
        let workload = Workload::Trickle;
        Self { workload, qos, nodelay, delay_ms, loss_percent, bottleneck: None }
    }

    const fn bulk(workload: Workload, queue: u32, loss: u32, qos: QoS, nodelay: bool) -> Self {
        let bottleneck = Some(Bottleneck { rate_kbit: 512, queue });
        Self { workload, qos, nodelay, delay_ms: 50, loss_percent: loss, bottleneck }
    }
}

/// The levels of QoS, each with Nagle's algorithm on and off.
const WAYS: [(QoS, bool); 4] = [
    (QoS::AtMostOnce, false),
    (QoS::AtMostOnce, true),
    (QoS::AtLeastOnce, false),
    (QoS::AtLeastOnce, true),
];

/// The name by which it can be chosen: `trickle-40ms-loss5-qos1-nagle`.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workload = match self.workload {
            Workload::Trickle => "trickle",
            Workload::OneMessage => "one-message",
            Workload::Burst => "burst",
        };
        write!(f, "{workload}-{}ms-loss{}", self.delay_ms, self.loss_percent)?;
        if let Some(Bottleneck { rate_kbit, queue }) = self.bottleneck {
            write!(f, "-{rate_kbit}kbit-queue{queue}")?;
        }
        let nagle = if self.nodelay { "nodelay" } else { "nagle" };
        write!(f, "-qos{}-{nagle}", self.qos.index())
    }
}

/// A choice of cells: `six`, `all`, or a part of their names, such as `loss5-qos1` or one in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cells(pub Vec<Cell>);

/// No cell has such a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownCell(String);

impl std::error::Error for UnknownCell {}

impl fmt::Display for UnknownCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let example = Cell::trickle(40, 5, QoS::AtLeastOnce, false);
        write!(
            f,
            "no cell's name contains `{}`: give six, all, or a part such as {example}",
            self.0
        )
    }
}

impl FromStr for Cells {
    type Err = UnknownCell;

    fn from_str(text: &str) -> Result<Self, UnknownCell> {
        let cells = match text {
            "six" => Cell::six(),
            "all" => Cell::all(),
            part => Cell::all().into_iter().filter(|it| it.to_string().contains(part)).collect(),
        };
        if cells.is_empty() { Err(UnknownCell(text.to_owned())) } else { Ok(Self(cells)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_chosen_by_a_part_of_their_names() {
        let count = |text: &str| text.parse::<Cells>().map(|cells| cells.0.len());
        assert_eq!(count("six"), Ok(6));
        assert_eq!(count("all"), Ok(64));
        assert_eq!(count("trickle-40ms-loss5-qos1-nagle"), Ok(1));
        assert_eq!(count("trickle-300ms"), Ok(16));
        assert_eq!(count("one-message"), Ok(4));
        assert_eq!(count("burst-50ms-loss0-512kbit-queue20"), Ok(4));
        let unknown = "loss7".parse::<Cells>().unwrap_err();
        assert!(unknown.to_string().contains("`loss7`"), "{unknown}");
        assert!("".parse::<Cells>().is_ok_and(|cells| cells.0 == Cell::all()));
    }

    #[test]
    fn each_cell_has_a_name_of_its_own_and_the_six_are_among_all() {
        let all = Cell::all();
        let mut names: Vec<String> = all.iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all.len());
        assert!(Cell::six().iter().all(|cell| all.contains(cell)));
    }
}
