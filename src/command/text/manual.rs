//! What the manual page says and `--help` does not.

pub(crate) mod card;
pub(crate) mod report;

use super::Language;
use crate::arguments;

/// What the page is one of.
pub(crate) fn title(language: Language) -> &'static str {
    language.choose("User commands", "ユーザーコマンド")
}

/// What a subcommand does and refuses, in paragraphs.
pub(crate) fn details(language: Language, subcommand: &str) -> Vec<&'static str> {
    match subcommand {
        arguments::STATUS => vec![language.choose(
            "With --login it asks for the PIN of each certificate that only its PIN opens: that of the digital \
             signature, and on an Android phone that of user authentication too. A wrong PIN costs a try.",
            "--login を付けると、暗証番号がないと読めない電子証明書のそれぞれについて、暗証番号の入力を求めます。\
             署名用電子証明書がそうです。Android スマートフォンでは、利用者証明用電子証明書もそうです。\
             間違えると、残りの回数が 1 回減ります。",
        )],
        arguments::REGISTER => register(language),
        arguments::UNREGISTER => vec![language.choose(
            "It takes every library of this project out of the profiles. Without a program, or with all, it also \
             takes back the file by which register ended OpenSC's autostart. It does not put OpenSC's module back.",
            "jpki-pkcs11 のライブラリーの登録をすべてプロファイルから外します。プログラムを指定しないか all を指定すると、\
             register が OpenSC の自動登録を止めたファイルも元に戻します。OpenSC のモジュールは登録し直しません。",
        )],
        arguments::CHANGE_PIN => vec![language.choose(
            "It asks for the current PIN, and for the new one twice. It changes nothing if the PIN is locked, if the \
             two new ones differ, if one has a wrong form, or if there are several cards. If the card's answer is \
             lost, it says so: then try the new PIN first.",
            "現在の暗証番号を 1 回、新しい暗証番号を 2 回入力します。暗証番号がロックされている、新しい暗証番号が\
             一致しない、形式に合わない、カードが 2 枚以上ある、のどれかの場合は、何も変更しません。\
             カードの応答が失われた場合はそのことを表示します。まず新しい暗証番号を試してください。",
        )],
        _ => Vec::new(),
    }
}

fn register(language: Language) -> Vec<&'static str> {
    vec![
        language.choose(
            "Firefox and Chromium get jpki-pkcs11-auth.so, which shows the certificate for user authentication only. \
             Thunderbird gets jpki-pkcs11-sign.so, which shows that for digital signatures only. The library goes \
             into each profile of this user, under the name JPKI; another library of this project that stands there \
             is taken out. modutil makes the changes (Debian: package libnss3-tools, Fedora: nss-tools).",
            "Firefox と Chromium には、利用者証明用電子証明書だけが見える jpki-pkcs11-auth.so を登録します。\
             Thunderbird には、署名用電子証明書だけが見える jpki-pkcs11-sign.so を登録します。このユーザーのすべての\
             プロファイルに JPKI という名前で登録し、そこにある jpki-pkcs11 のほかのライブラリーは外します。変更には \
             modutil を使います(Debian ではパッケージ libnss3-tools、Fedora では nss-tools)。",
        ),
        language.choose(
            "It changes no profile that a program is using, that belongs to another user, or that an old version \
             made and no newer one has opened. It changes nothing of a snap or a Flatpak, which cannot load a \
             library of the system. In each of these cases it says so, and ends with 1. A program that was never \
             started has no profile: it is passed over, unless it was named. Chromium's is made.",
            "使用中のプロファイル、ほかのユーザーのプロファイル、古いバージョンの形式のままのプロファイルは変更しません。\
             snap と Flatpak のプログラムは、システムのライブラリーを読み込めないため、変更しません。\
             どの場合もそのことを表示し、終了ステータスは 1 になります。一度も起動していないプログラムには\
             プロファイルがないので、プログラムを指定した場合を除いて、何もしません。Chromium のものは作ります。",
        ),
        language.choose(
            "OpenSC's module serves this card too, and its dialog may come first. Where it stands in such a profile, \
             or registers itself at each login, the command asks whether to take it out and keep it out; without a \
             terminal it stays. --remove-opensc answers yes. A file in ~/.config/autostart then keeps it out; if you \
             have one of that name, yours is kept beside it.",
            "OpenSC のモジュールもこのカードを扱い、その暗証番号の入力画面が先に出ることがあります。同じプロファイルに\
             登録されているか、ログインのたびに登録される場合は、それを外して再登録も止めるかどうか尋ねます。端末がなければ\
             そのままにします。--remove-opensc を付けると、尋ねずに外します。再登録は ~/.config/autostart のファイルで\
             止めます。同じ名前のファイルがあれば、その横に残します。",
        ),
    ]
}

pub(crate) fn pins_heading(language: Language) -> &'static str {
    language.choose("PINS", "暗証番号")
}

/// The two PINs.
pub(crate) fn pins(language: Language) -> [(&'static str, &'static str); 2] {
    [
        (
            "authentication",
            language.choose(
                "The PIN for user authentication: four digits. Three wrong ones in a row lock it.",
                "利用者証明用電子証明書の暗証番号: 数字 4 桁。連続 3 回間違えるとロックされます。",
            ),
        ),
        (
            "signature",
            language.choose(
                "The PIN for digital signatures: 6 to 16 letters A to Z and digits; a new one has at least one of \
                 each. Small letters are taken as capitals. Five wrong ones in a row lock it.",
                "署名用電子証明書の暗証番号: 英字(A〜Z)と数字 6〜16 文字。新しいものには、どちらも必要です。\
                 小文字は大文字とみなします。連続 5 回間違えるとロックされます。",
            ),
        ),
    ]
}

/// The rules for both.
pub(crate) fn pin_rules(language: Language) -> [&'static str; 3] {
    [
        language.choose(
            "The right PIN gives all tries back. What cannot be the PIN is refused before the card hears of it, and \
             costs no try. A program that was refused a PIN does not send that one again.",
            "正しい暗証番号を入力すると、残りの回数は元に戻ります。形式に合わない入力はカードに送らないので、回数は減りません。\
             カードが一度拒否した暗証番号を、同じプログラムがもう一度送ることはありません。",
        ),
        language.choose(
            "With reserve_tries = 1 in the configuration no PIN is sent when the card says that one try is left; a \
             larger number keeps more tries, but never all of them. Status calls that reserved. The PIN is not \
             locked then.",
            "設定に reserve_tries = 1 と書くと、カードが残り 1 回と答えたとき、暗証番号を送りません。もっと大きな値を書くと、\
             それだけ多くの回数を残しますが、すべてを残すことはありません。status の JSON では reserved になります。\
             暗証番号はロックされていません。",
        ),
        language.choose(
            "A PIN is locked when no try is left. The card then refuses every PIN, and no software changes that. The \
             municipal office sets a new one. So does the kiosk of some stores, if you know the other PIN and both \
             certificates are valid; for a phone, its Mynaportal app. Status says which it is for this card.",
            "残りの回数がなくなると、暗証番号はロックされます。カードはどの暗証番号も受け付けず、ソフトウェアでは解除できません。\
             市区町村の窓口で再設定を受けてください。もう一方の暗証番号が分かり、どちらの電子証明書も有効期限内なら、\
             対応する店舗のキオスク端末でも再設定できます。スマートフォンでは、マイナポータルアプリで再設定します。\
             このカードでどうすればよいかは、status で分かります。",
        ),
    ]
}

pub(crate) fn json_heading(language: Language) -> &'static str {
    language.choose("JSON", "JSON の項目")
}

pub(crate) fn json(language: Language) -> &'static str {
    language.choose(
        "status --json prints one object. The names of fields and values are the same in every language, and stay. \
         Fields and values may be added: a script leaves alone those that it does not know. null stands for what is \
         not known or does not apply.",
        "status --json は、一つのオブジェクトを出力します。項目と値の名前は、どの言語でも同じで、変わることはありません。\
         項目と値が増えることはあるので、スクリプトは知らないものを無視してください。null は、分からないこと、\
         または当てはまらないことを示します。",
    )
}

pub(crate) fn examples_heading(language: Language) -> &'static str {
    language.choose("EXAMPLES", "使用例")
}

pub(crate) fn examples(language: Language) -> [(&'static str, &'static str); 3] {
    [
        (
            "jpki-pkcs11 register firefox",
            language.choose(
                "Puts the module into your Firefox, which must be closed.",
                "Firefox にモジュールを登録します。Firefox を終了してから実行してください。",
            ),
        ),
        (
            "jpki-pkcs11 ssh-key | ssh user@host 'umask 077; mkdir -p .ssh; cat >>.ssh/authorized_keys'",
            language.choose(
                "Puts your key on a host, for ssh -I.",
                "ssh -I でログインするために、鍵をサーバーに登録します。",
            ),
        ),
        (
            "jpki-pkcs11 --json | jq '.readers[].card.authentication.pin.tries_left'",
            language.choose(
                "Prints the tries left of the authentication PIN, for each reader; null without a card.",
                "利用者証明用電子証明書の暗証番号の残りの回数を、リーダーごとに出力します。カードがなければ null です。",
            ),
        ),
    ]
}
