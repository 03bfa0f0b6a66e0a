// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

/// Every way in which the house can break a promise, as the checker tells it. `CheckerTests` shows one of each.
enum Breach: String, Sendable, CaseIterable {
    // I1: a number never has two live calls.
    case overlapping = "rang while another call to the same number was live"
    case severalOpen = "several attempts for one number are open"

    // I2: the provider is asked only for committed rows, once per call, and every attempt was asked for.
    case askedWithoutCallID = "the provider was asked without a call_id"
    case askedWithoutRow = "the provider was asked without a row"
    case rowNotCommitted = "the row was not committed when the provider was asked"
    case rowCameLater = "the row was made after the provider was asked"
    case askedAgain = "the provider was asked more than once"
    case otherNumber = "another number was called than the row's"
    case neverAsked = "is counted, and the provider was never asked"
    case strangeID = "has a provider's id that the provider did not give it"
    case hardlyWitnessed = "hardly any request was compared with the database when it arrived"

    // I3: nobody is called outside the window, when excluded, or for a campaign that does not run.
    case outsideWindow = "the attempt was made outside the window"
    case excluded = "the attempt was made though the number was excluded"
    case notRunning = "the attempt was made though the campaign did not run"
    case erasedCalled = "a person was called after having been erased"
    case erasedCameBack = "a person who was erased stands in a table"
    case tooLongOnTheWay = "the provider was asked too long after the row was made"

    // I4: caps, attempts and intervals.
    case tooManyLive = "more calls were live than there are slots"
    case beyondCap = "the attempt exceeds the calls at once that its campaign may have"
    case beyondRate = "the attempt exceeds the calls per hour that its campaign may have"
    case beyondQuota = "the attempt may bring more interviews than its campaign wants"
    case beyondCellQuota = "the attempt may bring more interviews than its cell wants"
    case tooManyAttempts = "the contact has more attempts than it may"
    case miscounted = "the contact's count of attempts is not that of its rows"
    case tooEarly = "tried again before the retry interval had passed"

    // I5: nobody is stranded.
    case inProgress = "the contact is still in progress"
    case pendingNeverDue = "the contact is pending and never due"
    case neverDue = "the contact has attempts left and is never due"
    case dueTooLate = "the contact is due later than any rule says"
    case dueThoughOver = "the contact is due though its story is over"
    case attemptOpen = "the attempt is still open"
    case liveAtProvider = "the call has not ended at the provider"

    // I6: every outcome, once, and every story told, once.
    case noOutcome = "ended at the provider, and no outcome is recorded"
    case otherOutcome = "is recorded with another outcome than the provider's"
    case reachedNobody = "nothing was placed, and the outcome says that somebody was reached"
    case knownAndLost = "is recorded as lost, and the provider knows it"
    case placedNotCounted = "was placed, and is not counted"
    case takenBackCounted = "was taken back before anybody answered, and is counted"
    case twoRows = "has two rows"
    case stateWithoutCall = "the contact's state comes from none of its calls"
    case notPublished = "a survey event was not published"
    case notedNotPublished = "a survey event is noted as published, and nobody got it"
    case otherContact = "a survey event names another contact than its row"
    case otherKind = "a survey event tells another end than its row"
    case unknownEvent = "a survey event was published under an id that no row has"
    case untold = "the contact's end was not told"
    case otherEnd = "a survey event tells another end than the contact's"
    case toldTwice = "two ends were told of one contact"
    case interviewForgotten = "an interview's outcome was taken, and is not in the row"
    case optOutForgotten = "an opt-out was taken, and the number is not excluded"

    // I7: every call that was not made has a reason.
    case refusedSilently = "nothing was placed, and the row does not say why"
    case givenBackSilently = "was given back, and the row does not say why"
    case deadLetter = "a message was dead-lettered, and no row says why"

    /// The promise, `I1` to `I7`.
    var invariant: String {
        switch self {
        case .overlapping, .severalOpen: "I1"
        case .askedWithoutCallID, .askedWithoutRow, .rowNotCommitted, .rowCameLater, .askedAgain, .otherNumber,
            .neverAsked,
            .strangeID, .hardlyWitnessed:
            "I2"
        case .outsideWindow, .excluded, .notRunning, .tooLongOnTheWay, .erasedCalled, .erasedCameBack: "I3"
        case .tooManyLive, .beyondCap, .beyondRate, .beyondQuota, .beyondCellQuota, .tooManyAttempts, .miscounted,
            .tooEarly:
            "I4"
        case .inProgress, .pendingNeverDue, .neverDue, .dueTooLate, .dueThoughOver, .attemptOpen, .liveAtProvider: "I5"
        case .noOutcome, .otherOutcome, .reachedNobody, .knownAndLost, .placedNotCounted, .takenBackCounted, .twoRows,
            .stateWithoutCall,
            .notPublished, .notedNotPublished, .otherContact, .otherKind, .unknownEvent, .untold, .otherEnd, .toldTwice,
            .interviewForgotten, .optOutForgotten:
            "I6"
        case .refusedSilently, .givenBackSilently, .deadLetter: "I7"
        }
    }
}

/// A promise that was broken.
struct Violation: Sendable, CustomStringConvertible {
    let breach: Breach
    /// The call, when it is about one.
    let callID: String?
    /// What was found.
    let detail: String

    init(_ breach: Breach, _ callID: String?, _ detail: String = "") {
        self.breach = breach
        self.callID = callID
        self.detail = detail
    }

    var description: String {
        let call = self.callID.map { "call_id=\($0) " } ?? ""
        return "\(self.breach.invariant) \(call)\(self.breach.rawValue)\(self.detail.isEmpty ? "" : ": " + self.detail)"
    }
}
