// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

import CallModel
import Foundation
import PhoneNumbers
import Testing

/// Number plans grow; the library's tables are as old as the system that it comes with.
@Suite(.timeLimit(.minutes(20)))
struct NumberChangesTests {
    /// Geographic area codes in use, by the package `phonenumbers` 9.0.43 from PyPI.
    private static let areaCodes = [
        "US": """
        201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 220 223 224 225 227 228 229
        231 234 235 239 240 248 251 252 253 254 256 260 262 267 269 270 272 274 276 279 281 283 301 302
        303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320 321 323 324 325 326 327 329 330
        331 332 334 336 337 339 341 346 347 350 351 352 353 360 361 363 364 369 380 385 386 401 402 404
        405 406 407 408 409 410 412 413 414 415 417 419 423 424 425 430 432 434 435 440 442 443 445 447
        448 458 463 464 469 470 472 475 478 479 480 484 501 502 503 504 505 507 508 509 510 512 513 515
        516 517 518 520 530 531 534 539 540 541 551 557 559 561 562 563 564 567 570 571 572 573 574 575
        580 582 585 586 601 602 603 605 606 607 608 609 610 612 614 615 616 617 618 619 620 623 626 628
        629 630 631 636 640 641 645 646 650 651 656 657 659 660 661 662 667 669 678 680 681 682 686 689
        701 702 703 704 706 707 708 712 713 714 715 716 717 718 719 720 724 725 726 727 728 730 731 732
        734 737 738 740 743 747 748 754 757 760 762 763 765 769 770 771 772 773 774 775 779 781 785 786
        801 802 803 804 805 806 808 810 812 813 814 815 816 817 818 820 821 826 828 830 831 832 835 838
        839 840 843 845 847 848 850 854 856 857 858 859 860 862 863 864 865 870 872 878 901 903 904 906
        907 908 909 910 912 913 914 915 916 917 918 919 920 925 928 929 930 931 934 936 937 938 940 941
        943 945 947 948 949 951 952 954 956 959 970 971 972 973 975 978 979 980 983 984 985 986 989
        """,
        "CA": """
        204 226 236 249 250 257 263 273 289 306 343 354 365 367 368 382 403 416 418 428 431 437 438 450
        468 474 506 514 519 548 579 581 584 587 604 613 639 647 672 683 705 709 742 753 778 780 782 807
        819 825 867 873 879 902 905 942
        """,
    ]

    @Test("no area code that is in use in North America is refused, and each belongs to its country")
    func areaCodesInUse() throws {
        let plan = try NumberPlan()
        for (region, codes) in Self.areaCodes {
            let codes = codes.split { $0.isWhitespace }
            #expect(codes.count > 50)
            let refused = codes.filter { code in (try? plan.entry("+1\(code)4085123"))?.region != region }
            #expect(refused.isEmpty, "\(region): \(refused)")
        }
    }

    @Test(
        "a range that was assigned since, and a number that has got a new form, are read as they are today",
        arguments: [
            ("+2290197000001", nil, "+2290197000001", "BJ"), ("+229 01 66 00 00 03", nil, "+2290166000003", "BJ"),
            ("01 97 00 00 01", "BJ", "+2290197000001", "BJ"), ("+22997000002", nil, "+2290197000002", "BJ"),
            ("97 00 00 02", "BJ", "+2290197000002", "BJ"), ("+52 1 55 1234 5678", nil, "+525512345678", "MX"),
            ("(728) 408-5123", "US", "+17284085123", "US"), ("+1 942 408 5123", nil, "+19424085123", "CA"),
        ] as [(String, String?, String, String)]
    )
    func today(text: String, country: String?, e164: String, region: String) throws {
        let entry = try NumberPlan(country: country).entry(text)
        #expect(entry.phoneNumber.e164 == e164 && entry.region == region && entry.isAssigned)
    }

    @Test("the former form of a number is known, to find it where it is stored")
    func former() throws {
        let changes = NumberChanges.shipped
        for (today, former) in [
            ("+2290197000002", ["+22997000002"]), ("+525512345678", ["+5215512345678"]), ("+493023125140", []),
        ] {
            let forms = changes.formerForms(of: try PhoneNumber(today))
            #expect(forms.map(\.e164) == former)
        }
    }

    @Test("another document takes the place of the shipped one")
    func another() throws {
        let json = """
            {"version": "2099-01-01", "renumbered": [], "ranges": [
                {"region": "DE", "code": "49", "prefixes": ["1999"], "digits": 13, "source": "s", "read": "2098-12-31"}]}
            """
        #expect(throws: NumberPlan.Fault.self) { try NumberPlan().entry("+491999123456789") }
        let plan = try NumberPlan(changes: try NumberChanges(json: Data(json.utf8)))
        let entry = try plan.entry("+491999123456789")
        #expect(entry.region == "DE" && entry.isAssigned)
        #expect(throws: NumberPlan.Fault.self) { try plan.entry("+49199912345678") }
        #expect(throws: NumberPlan.Fault.self) { try plan.entry("+2290197000001") }
    }

    @Test(
        "a document that cannot be used is refused, with the place",
        arguments: [
            ("", "not JSON"), ("{}", "'version' is missing"), (#"{"version": 7}"#, "'version' has another type"),
            (#"{"version": "x", "ranges": [{}], "renumbered": []}"#, "'region' is missing"),
            (Self.range("XX", "1", "200", 10), "ranges[0] region"),
            (Self.range("US", "1", "2O0", 10), "ranges[0] code and prefix"),
            (Self.range("US", "1", "200", 20), "ranges[0] digits"),
            (Self.range("US", "1", "200", 3), "ranges[0] digits"),
            (
                #"{"version": "x", "ranges": [], "renumbered": [{"code": "1", "source": "s", "read": "d","#
                    + #" "from": {"prefix": "", "digits": 8}, "to": {"prefix": "1", "digits": 10}}]}"#,
                "renumbered[0] would lose"
            ),
        ]
    )
    func refused(json: String, words: String) throws {
        let fault = #expect(throws: NumberPlan.Fault.self) { try NumberChanges(json: Data(json.utf8)) }
        #expect(fault?.reason.contains(words) == true, "\(fault?.reason ?? "")")
    }

    private static func range(_ region: String, _ code: String, _ prefix: String, _ digits: Int) -> String {
        """
        {"version": "x", "renumbered": [], "ranges": [{"region": "\(region)", "code": "\(code)", "prefixes": ["\(prefix)"],
         "digits": \(digits), "source": "s", "read": "2026-11-27"}]}
        """
    }
}
