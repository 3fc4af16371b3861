//! Refuses a connection and says why.

use async_std::future::timeout;
use futures::{AsyncReadExt, AsyncWriteExt, io};

use crate::limits::{LINGER_BYTES, REFUSAL_LIMIT};
use crate::net::transport::Transport;
use crate::protocol::{Refusal, Reply};

/// Sends the refusal and closes the connection.
pub(crate) async fn turn_away(mut transport: Transport, refusal: &Refusal) {
    let telling = async {
        let line = format!("{}\n", Reply::Refused(refusal));
        transport.write_all(line.as_bytes()).await?;
        transport.close().await?;
        // Closing with unread input would destroy what the client has yet to read.
        io::copy((&mut transport).take(LINGER_BYTES as u64), &mut io::sink()).await
    };
    // The connection is closed in any case.
    let _ = timeout(REFUSAL_LIMIT, telling).await;
}
