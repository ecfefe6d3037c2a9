#!/usr/bin/env bash
# Makes what an emulated machine starts from, out of Debian's packages: a kernel, an initramfs and a root file system.
# Nothing is installed or mounted on this machine. Arguments: the architecture, as Debian calls it, and a directory, which
# afterwards holds vmlinuz, initrd and root.img.
set -euo pipefail
cd "$(dirname "$0")"
readonly arch=$1 out=$2
readonly packages="systemd dbus apparmor busybox-static kmod bash coreutils util-linux procps libc-bin base-passwd iproute2 nftables runc crun containernetworking-plugins"
# What finds and mounts the root file system; the rest is loaded on demand.
readonly modules="virtio_pci virtio_mmio virtio_blk ext4 crc32c_generic"

die() { echo "vm: $*" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"
root=$work/root

# An apt of its own, to which nothing is installed: so it names every package that is needed, for any architecture.
mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial"
: >"$work/apt/status"
apt() {
	"$1" -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Install-Recommends=false -o APT::Sandbox::User=root \
		-o Dir::State="$work/apt" -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt" "${@:2}"
}

fetch() {
	command -v apt-get >/dev/null || die "the machine is made of Debian's packages: apt-get is needed"
	apt apt-get update || die "apt-get update failed, see above"
	apt apt-get install -y --download-only $packages || die "apt-get download of $packages for $arch failed, see above"
	local kernel
	kernel=$(apt apt-cache depends "linux-image-cloud-$arch" | awk '/Depends: linux-image/ { print $2; exit }')
	(cd "$work/apt/archives" && apt apt-get download "$kernel") || die "apt-get download of $kernel failed, see above"
}

unpack() {
	local deb dir
	mkdir -p "$root"/usr/{bin,sbin,lib}
	for dir in bin sbin lib; do ln -s "usr/$dir" "$root/$dir"; done
	[ "$arch" != amd64 ] || { mkdir "$root/usr/lib64"; ln -s usr/lib64 "$root/lib64"; }
	for deb in "$work"/apt/archives/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --exclude='./usr/share/doc*' --exclude='./usr/share/man*' --exclude='./usr/share/locale*'
	done
	mv "$root"/boot/vmlinuz-* "$out/vmlinuz"
	rm -rf "$root/boot"
}

# What the packages' scripts would have done.
configure() {
	mkdir -p "$root"/{dev,proc,sys,run,tmp,root,mayfly,var/tmp}
	chmod 1777 "$root/tmp" "$root/var/tmp"
	cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
	cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
	echo 'messagebus:x:100:100::/nonexistent:/usr/sbin/nologin' >>"$root/etc/passwd"
	echo 'messagebus:x:100:' >>"$root/etc/group"
	echo '127.0.0.1 localhost vm' >"$root/etc/hosts"
	echo 'nameserver 192.0.2.53' >"$root/etc/resolv.conf" # TEST-NET-1, RFC 5737: nobody answers
	echo vm >"$root/etc/hostname"
	: >"$root/etc/machine-id"
	[ -e "$root/bin/sh" ] || ln -s bash "$root/bin/sh"
	install -m 0755 init job "$root/usr/lib/" # /usr/lib/init and /usr/lib/job
	install -m 0644 vm.service vm.target "$root/etc/systemd/system/"
	install -m 0755 go "$root/usr/bin/go"
	depmod -b "$root" "$(ls "$root/lib/modules")"
}

# The initramfs: busybox, and the modules with all that they need, in order.
initramfs() {
	local dir=$work/initramfs lib module file
	lib=$(echo "$root"/lib/modules/*)
	mkdir -p "$dir"/{bin,lib,proc,dev,root}
	cp "$root/bin/busybox" "$dir/bin/"
	install -m 0755 initramfs "$dir/init"
	for module in $modules; do
		awk -v name="/$module.ko:" 'index("/" $1, name) { sub(":", "", $1); for (i = NF; i > 0; i--) print $i }' "$lib/modules.dep"
	done | awk '!seen[$0]++' | while read -r file; do
		cp "$lib/$file" "$dir/lib/"
		basename "$file" >>"$dir/modules"
	done
	[ -s "$dir/modules" ] || die "no module of $modules is in $lib/modules.dep"
	(cd "$dir" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$out/initrd"
}

mkdir -p "$out"
fetch
unpack
configure
initramfs
truncate -s 3G "$work/root.img"
mkfs.ext4 -q -d "$root" "$work/root.img" || die "mkfs.ext4 failed, see above"
mv "$work/root.img" "$out/root.img"
