// Watching an interface without asking for it again and again.
#pragma once

// A non-blocking rtnetlink socket that becomes readable when an interface of this network
// namespace changes (RTMGRP_LINK), or -errno.
int clinux_link_events(void);
// Throws away what waits on a socket.
void clinux_drain(int fd);
// The MTU of an interface of this network namespace, or -errno.
int clinux_interface_mtu(const char *name);
