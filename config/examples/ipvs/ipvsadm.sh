#!/bin/sh
# The table that keepalived.conf makes, by hand: for a first try, or where something else does the checks.
# Run as root on the director that holds 10.0.0.100.
set -eu
VIP=10.0.0.100:8125

ipvsadm -C
# -u UDP, -s wrr weighted round robin, -o one-packet scheduling.
ipvsadm -A -u "$VIP" -s wrr -o
# -g direct routing ("gatewaying"): the port cannot be changed on the way.
ipvsadm -a -u "$VIP" -r 10.0.0.11:8125 -g -w 100
ipvsadm -a -u "$VIP" -r 10.0.0.12:8125 -g -w 100
ipvsadm -a -u "$VIP" -r 10.0.0.13:8125 -g -w 100
ipvsadm -L -n

# To take one out and back in:
#   ipvsadm -e -u "$VIP" -r 10.0.0.12:8125 -g -w 0
#   ipvsadm -e -u "$VIP" -r 10.0.0.12:8125 -g -w 100
# Packets for each relay, now and a second:  ipvsadm -L -n --stats;  ipvsadm -L -n --rate
