// Delivery tickets: each sink is told of once, with the truth, whatever comes in whatever order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeliveryTicket, type TicketOrder } from "../../aggregator/sink/delivery-ticket.ts";

const order: TicketOrder = { interval: 7, revision: 1, cause: "first", isInDoubt: false, deliveredTo: [] };

/** A ticket, what it told, and how often it was over. */
function newTicket(changes: Partial<TicketOrder> = {}) {
  const told: [sink: string, isDelivered: boolean][] = [];
  const overs: number[] = [];
  const ticket = new DeliveryTicket({ ...order, ...changes }, (sink, isDelivered) => {
    told.push([sink, isDelivered]);
  });
  ticket.onOver = () => overs.push(told.length);
  return { ticket, told, overs };
}

test("a sink is told of when its last batch is settled, and the last batch has come", () => {
  const { ticket, told, overs } = newTicket();
  const receipts = [1, 2, 3].map(() => {
    ticket.addBatch();
    return [ticket.receiptFor("a"), ticket.receiptFor("b")] as const;
  });
  for (const [first] of receipts) first.settle(true);
  assert.deepEqual(told, []);
  ticket.complete();
  assert.deepEqual(told, [["a", true]]);
  for (const [, second] of [...receipts].reverse()) second.settle(true);
  assert.deepEqual(told, [
    ["a", true],
    ["b", true],
  ]);
  assert.deepEqual(overs, [2]);
});

test("one batch given up is an order given up, and the first word of a receipt counts", () => {
  const { ticket, told } = newTicket();
  ticket.addBatch();
  const first = ticket.receiptFor("a");
  ticket.addBatch();
  const second = ticket.receiptFor("a");
  ticket.complete();
  first.settle(false);
  first.settle(true);
  assert.deepEqual(told, []);
  second.settle(true);
  second.settle(false);
  assert.deepEqual(told, [["a", false]]);
});

test("a sink that came or went in the middle has not got all", () => {
  const { ticket, told } = newTicket();
  ticket.addBatch();
  ticket.receiptFor("gone").settle(true);
  ticket.receiptFor("there").settle(true);
  ticket.addBatch();
  ticket.receiptFor("there").settle(true);
  ticket.receiptFor("new").settle(true);
  ticket.complete();
  assert.deepEqual(told, [
    ["gone", false],
    ["there", true],
    ["new", false],
  ]);
});

test("without a sink it is over at once", () => {
  const { ticket, overs } = newTicket();
  ticket.addBatch();
  assert.equal(ticket.isOver, false);
  ticket.complete();
  assert.equal(ticket.isOver, true);
  assert.deepEqual(overs, [0]);
});

test("forgotten, it tells nothing, and is over when no batch comes any more", () => {
  const { ticket, told, overs } = newTicket();
  ticket.addBatch();
  const receipt = ticket.receiptFor("a");
  ticket.forget();
  assert.deepEqual([ticket.isForgotten, ticket.isOver], [true, false]);
  receipt.settle(true);
  ticket.complete();
  ticket.complete();
  assert.deepEqual(told, []);
  assert.deepEqual(overs, [0]);
});

test("at the end of the process deliveries are told, and losses are kept", () => {
  const { ticket, told, overs } = newTicket();
  ticket.addBatch();
  const lost = ticket.receiptFor("a");
  const sent = ticket.receiptFor("b");
  ticket.complete();
  ticket.keepLosses();
  lost.settle(false);
  sent.settle(true);
  assert.deepEqual(told, [["b", true]]);
  assert.deepEqual(overs, [1]);
});
