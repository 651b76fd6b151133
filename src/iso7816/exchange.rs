//! One command and its whole answer (ISO/IEC 7816-4, 5.3.4): 61xx is followed by GET RESPONSE, 6Cxx
//! by the same command with the right Le.

use super::apdu::{Command, Expected, Response};
use super::status::Status;

/// The most bytes of an answer that is put together from pieces. The longest known file, a
/// certificate's, has 3808 bytes.
pub const MAX_ANSWER: usize = 8192;

/// How often a card may name another Le for one command.
const MAX_CORRECTIONS: u8 = 3;

/// Sends a command that may be repeated and gathers its answer. `None` when the answer does not
/// end.
///
/// # Errors
/// The first one of `transmit`.
pub fn exchange<E>(
    command: &Command,
    mut transmit: impl FnMut(&Command) -> Result<Response, E>,
) -> Result<Option<Response>, E> {
    let mut response = with_right_length(command, &mut transmit)?;
    let mut gathered: Option<Response> = None;
    while let Status::MoreData(more) = response.status().classify() {
        let get_response = Command::new(0x00, 0xc0, 0, 0).expect(Expected::Short(more));
        let next = with_right_length(&get_response, &mut transmit)?;
        let whole = match gathered {
            Some(before) => before.followed_by(response),
            None => response,
        };
        if whole.data().len() > MAX_ANSWER {
            return Ok(None);
        }
        gathered = Some(whole);
        response = next;
    }
    Ok(Some(match gathered {
        Some(before) => before.followed_by(response),
        None => response,
    }))
}

/// Sends a command, and again with the Le that the card names.
fn with_right_length<E>(
    command: &Command,
    transmit: &mut impl FnMut(&Command) -> Result<Response, E>,
) -> Result<Response, E> {
    let mut response = transmit(command)?;
    let mut named = None;
    for _ in 0..MAX_CORRECTIONS {
        match response.status().classify() {
            Status::WrongLe(le) if named != Some(le) => {
                named = Some(le);
                response = transmit(&command.clone().expect(Expected::Short(le)))?;
            }
            _ => break,
        }
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Answers with these responses, one after another, and notes the commands.
    fn run(answers: &[&[u8]]) -> (Option<Response>, Vec<Vec<u8>>) {
        let mut sent = Vec::new();
        let command = Command::new(0, 0xb0, 0, 0).expect(Expected::Short(256));
        let response = exchange(&command, |command| {
            let answer = answers[sent.len() % answers.len()].to_vec();
            sent.push(command.encode().to_vec());
            Ok::<_, Infallible>(Response::parse(answer).unwrap())
        });
        (response.unwrap(), sent)
    }

    #[test]
    fn pieces_are_put_together() {
        let (response, sent) = run(&[b"ab\x61\x02", b"cd\x61\x01", b"e\x90\x00"]);
        assert_eq!(response.unwrap().data(), b"abcde");
        assert_eq!(sent[1], [0, 0xc0, 0, 0, 2]);
    }

    #[test]
    fn a_wrong_length_is_corrected_once() {
        let (response, sent) = run(&[b"\x6c\x10", b"\x6c\x10"]);
        assert_eq!((response.unwrap().status().raw(), sent.len()), (0x6c10, 2));
        assert_eq!(sent[1].last(), Some(&0x10));
    }

    #[test]
    fn a_card_may_name_another_length_twice() {
        let (response, sent) = run(&[b"\x6c\xc8", b"\x6c\x64", b"ab\x90\x00"]);
        assert_eq!(response.unwrap().data(), b"ab");
        assert_eq!(sent.iter().map(|command| *command.last().unwrap()).collect::<Vec<_>>(), [0, 0xc8, 0x64]);
        let (_, sent) = run(&[b"\x6c\x01", b"\x6c\x02"]);
        assert_eq!(sent.len(), 4);
    }

    #[test]
    fn a_card_may_name_another_length_for_what_waits() {
        let (response, sent) = run(&[b"\x61\x00", b"\x6c\x03", b"abc\x61\x01", b"d\x90\x00"]);
        assert_eq!(response.unwrap().data(), b"abcd");
        assert_eq!(sent[1..], [[0, 0xc0, 0, 0, 0], [0, 0xc0, 0, 0, 3], [0, 0xc0, 0, 0, 1]]);
    }

    #[test]
    fn an_answer_without_end_is_none() {
        let piece = [&[0x55; 200][..], &[0x61, 0]].concat();
        let (response, sent) = run(&[&piece]);
        assert!(response.is_none() && sent.len() < 50);
    }
}
