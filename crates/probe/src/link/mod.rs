//! A link between real programs: two network namespaces, and between them IP packets that meet what
//! the network model decides.
//!
//! ```text
//! namespace of the client          this process           namespace of the broker
//! program - kernel's TCP - TUN  =>  LinkState  =>  TUN - kernel's TCP - program
//! 10.9.0.1                                                                 10.9.0.2
//! ```
//!
//! The programs are unmodified, and the TCP is the kernel's. Packets are decided upon as they come,
//! by [`LinkState::ip_packet_fate`], and written to the other side when they are due. A namespace,
//! its device and its addresses end with what owns them here, however that ends.
//!
//! [`LinkState::ip_packet_fate`]: qoslab_core::network::LinkState::ip_packet_fate

pub use self::carrier::CarriedPackets;
pub use self::namespace::Namespace;
pub use self::packet_link::{BROKER_ADDRESS, CLIENT_ADDRESS, PacketLink};

mod carrier;
mod departures;
mod namespace;
mod packet_link;
