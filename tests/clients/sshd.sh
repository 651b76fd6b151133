# shellcheck shell=bash
# An sshd on the loopback interface, for scripts that have sourced lib.sh; to be sourced.
#
# It runs without root's rights: then it needs neither a user of its own nor /run/sshd. Its one user is `somebody`, who
# exists for it alone. The file ssh_config makes ssh reach it as `server`.

# A directory that the user of sshd may enter, which is not so everywhere below the target directory.
new_directory() {
    mktemp -d "/tmp/$1.XXXXXX"
}

# What to put before a command that is to run without root's rights.
WITHOUT_ROOT=()
((EUID != 0)) || WITHOUT_ROOT=(setpriv --reuid 65534 --regid 65534 --clear-groups)
readonly WITHOUT_ROOT

# start_sshd PUBLIC-KEY: its user logs in with this key.
start_sshd() {
    local directory=$PWD/server id=$EUID port wrapper
    ((id != 0)) || id=65534
    wrapper=$(compgen -G '/usr/lib/*/libnss_wrapper.so' || compgen -G '/usr/lib64/libnss_wrapper.so')
    port=$(free_port)
    chmod 711 "$WORK" "$WORK/files"
    mkdir "$directory"
    ssh-keygen -q -t ed25519 -N '' -f "$directory/host_key"
    cp "$1" "$directory/authorized_keys"
    printf 'somebody:x:%s:%s::%s:/bin/sh\n' "$id" "$id" "$directory" >"$directory/passwd"
    printf 'somebody:x:%s:\n' "$id" >"$directory/group"
    write_sshd_config "$directory" "$port" >"$directory/config"
    # Since 9.8 it soon takes no more connections from where logins failed, and here some must.
    if grep -qi PerSourcePenalties "$(<"$directory/program")"; then
        echo 'PerSourcePenalties no' >>"$directory/config"
    fi
    write_ssh_config "$directory" "$port" >ssh_config
    ((EUID != 0)) || chown -R "$id:$id" "$directory"
    background sshd.log "${WITHOUT_ROOT[@]}" env LD_PRELOAD="$wrapper" NSS_WRAPPER_PASSWD="$directory/passwd" \
        NSS_WRAPPER_GROUP="$directory/group" "$(<"$directory/program")" -D -e -f "$directory/config"
    wait_until is_listening "$port"
}

write_sshd_config() {
    local directory=$1 port=$2
    cat <<END_OF_CONFIG
ListenAddress 127.0.0.1:$port
HostKey $directory/host_key
PidFile none
AuthorizedKeysFile $directory/authorized_keys
AuthenticationMethods publickey
UsePAM no
StrictModes no
LogLevel VERBOSE
END_OF_CONFIG
    copy_sshd "$directory"
}

# An sshd that was unpacked must be copied, because its user may not enter that directory. Newer ones are several
# programs.
copy_sshd() {
    local directory=$1 unpacked=$TARGET/sshd/usr program=/usr/sbin/sshd part
    if [[ ! -x $program ]]; then
        program=$directory/sshd
        cp "$unpacked/sbin/sshd" "$program"
        for part in Session Auth; do
            [[ -x $unpacked/lib/openssh/sshd-${part,,} ]] || continue
            cp "$unpacked/lib/openssh/sshd-${part,,}" "$directory"
            printf 'Sshd%sPath %s\n' "$part" "$directory/sshd-${part,,}"
        done
    fi
    printf '%s\n' "$program" >"$directory/program"
}

write_ssh_config() {
    local directory=$1 port=$2
    printf '[127.0.0.1]:%s %s\n' "$port" "$(<"$directory/host_key.pub")" >known_hosts
    cat <<END_OF_CONFIG
Host server
    HostName 127.0.0.1
    Port $port
    User somebody
    UserKnownHostsFile $PWD/known_hosts
    PreferredAuthentications publickey
    IdentityFile none
    NumberOfPasswordPrompts 1
END_OF_CONFIG
}
