#!/usr/bin/env bash
# In the chroot: the client library of pcsc-lite for the C library of musl, from Debian's source, and what unwinds the
# stack there. Both go to /opt/ports/musl/lib.
set -euo pipefail

readonly LIB=/opt/ports/musl/lib
[[ ! -e $LIB/.made ]] || exit 0
mkdir -p "$LIB"

work=$(mktemp -d /tmp/musl.XXXXXX)
cd "$work"
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >/etc/apt/sources.list.d/source.list
apt-get update -q
apt-get source --download-only pcsc-lite
mkdir source
tar -x -C source --strip-components=1 -f pcsc-lite_*.orig.tar.xz

# The headers that its own build would write are those of the package for the other C library.
version=$(sed -n 's/^#define PCSCLITE_VERSION_NUMBER[[:space:]]*"\([^"]*\)".*/\1/p' /usr/include/PCSC/pcsclite.h)
cp /usr/include/PCSC/pcsclite.h source/src/PCSC/
cat >source/src/config.h <<END
#define VERSION "$version"
#define PCSCLITE_FEATURES ""
#define USE_IPCDIR "/run/pcscd"
#define IPCDIR "/run/pcscd"
#define PACKAGE "pcsc-lite"
#define HAVE_DLFCN_H 1
#define HAVE_SECURE_GETENV 1
#define HAVE_STRERROR_R 1
END
sed "s|@PCSCLITE_CONFIG_DIR@|/etc/reader.conf.d|; s|@ipcdir@|/run/pcscd|; s|@VERSION@|$version|" \
    source/src/pcscd.h.in >source/src/pcscd.h
cd source/src
musl-gcc -shared -fPIC -O2 -DPCSCLITE_STATIC_DRIVER -DLIBPCSCLITE -DSIMCLIST_NO_DUMPRESTORE -I. -IPCSC \
    -Wl,-soname,libpcsclite.so.1 -o "$LIB/libpcsclite.so.1" \
    debug.c error.c g_defines.c winscard_clnt.c simclist.c sys_unix.c utils.c winscard_msg.c
ln -sf libpcsclite.so.1 "$LIB/libpcsclite.so"

# GCC's unwinder is compiled for glibc, which finds a frame by this function.
cat >find.c <<'END'
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>
#include <string.h>

struct dl_find_object {
    unsigned long long flags;
    void *map_start, *map_end;
    struct link_map *map;
    void *eh_frame;
    unsigned long long reserved[7];
};

struct search {
    uintptr_t address;
    struct dl_find_object *found;
};

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    int inside = 0;
    uintptr_t start = 0, end = 0, frames = 0;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && search->address >= at && search->address < at + header->p_memsz) {
            inside = 1;
            start = at;
            end = at + header->p_memsz;
        }
        if (header->p_type == PT_GNU_EH_FRAME)
            frames = at;
    }
    if (!inside || !frames)
        return 0;
    memset(search->found, 0, sizeof *search->found);
    search->found->map_start = (void *)start;
    search->found->map_end = (void *)end;
    search->found->eh_frame = (void *)frames;
    return 1;
}

int _dl_find_object(void *address, struct dl_find_object *found)
{
    struct search search = { (uintptr_t)address, found };
    return dl_iterate_phdr(look, &search) ? 0 : -1;
}
END
musl-gcc -fPIC -O2 -c find.c
ar rcs "$LIB/libfind.a" find.o
printf 'GROUP ( -lgcc_eh -lgcc -lfind )\n' >"$LIB/libgcc_s.so"
cd /
rm -rf -- "$work"
touch "$LIB/.made"
