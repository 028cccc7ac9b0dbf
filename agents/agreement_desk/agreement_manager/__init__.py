from agreement_desk.agreement_manager.agreement_manager import create_agreement_manager

__all__ = ["create_agreement_manager"]
