//! Values that every layer shares. Nothing here knows a socket, a task or a clock.

pub mod address;
pub mod budget;
pub mod ids;
pub mod limit_key;
pub mod message;
pub mod name;
pub mod room_name;
pub mod secret;
pub mod text;

pub use ids::{AccountId, PeerId};
pub use message::{Message, Timestamp};
pub use name::{BadName, Name};
pub use room_name::{BadRoomName, RoomName};
pub use secret::{BadSecret, Secret};
pub use text::SafeText;
